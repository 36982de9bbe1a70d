/// What a long prompt and running streams cost each other.
public struct LongPromptResult: Codable, Hashable, Sendable {
  public var promptLength: Int
  /// From the prompt's admission to its first token, without and beside streams.
  public var aloneSeconds: Double
  public var loadedSeconds: Double
  /// Seconds between two tokens of one stream, without and beside the prompt.
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

  /// Sorts one stream's gaps: those that end in a span belong to it.
  mutating func add(_ arrivals: [Double], quiet: Range<Double>, loaded: Range<Double>) {
    for (before, now) in zip(arrivals, arrivals.dropFirst()) {
      if quiet.contains(now), quiet.contains(before) { quietGaps.append(now - before) }
      if loaded.contains(now) { loadedGaps.append(now - before) }
    }
  }

  /// The streams' gap at the 99th percentile beside the prompt, over the median without it.
  public var stretch: Double {
    let median = quietGaps.median
    return median > 0 ? loadedGaps.quantile(0.99) / median : 0
  }

  /// The share of its rate alone that the prompt keeps.
  public var keptRate: Double { loadedSeconds > 0 ? aloneSeconds / loadedSeconds : 0 }
}
