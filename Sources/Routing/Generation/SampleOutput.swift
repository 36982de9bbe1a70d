import ServingTypes

/// New tokens of one sample, and the text that they completed.
public struct SampleOutput: Hashable, Sendable {
  /// 0 to n − 1.
  public var sample: Int
  public var tokens: [GeneratedToken]
  /// Never half a character, and never part of a stop string.
  public var text: String
  /// Set on a sample's last output.
  public var finish: FinishReason?

  public init(sample: Int, tokens: [GeneratedToken] = [], text: String = "", finish: FinishReason? = nil) {
    self.sample = sample
    self.tokens = tokens
    self.text = text
    self.finish = finish
  }
}
