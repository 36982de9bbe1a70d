/// What a long prompt and running streams cost each other.
public struct LongPromptResult: Codable, Hashable, Sendable {
  public var promptLength: Int
  /// From the prompt's admission to its first token, without and beside streams.
  public var aloneSeconds: Double
  public var loadedSeconds: Double
  /// Seconds between two tokens of one stream, without and beside the prompt; the same tokens.
  public var quietGaps: [Double]
  public var loadedGaps: [Double]

  public init(
    promptLength: Int, aloneSeconds: Double, loadedSeconds: Double, quietGaps: [Double], loadedGaps: [Double]
  ) {
    self.promptLength = promptLength
    self.aloneSeconds = aloneSeconds
    self.loadedSeconds = loadedSeconds
    self.quietGaps = quietGaps
    self.loadedGaps = loadedGaps
  }

  /// The streams' gap at the 99th percentile beside the prompt, over the median without it.
  public var stretch: Double {
    let median = quietGaps.median
    return median > 0 ? loadedGaps.quantile(0.99) / median : 0
  }

  /// The share of its rate alone that the prompt keeps.
  public var keptRate: Double { loadedSeconds > 0 ? aloneSeconds / loadedSeconds : 0 }
}
