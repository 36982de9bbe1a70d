import ServingTypes

/// The token that a prefill drew for a sample.
public struct FirstToken: Hashable, Sendable {
  public var sample: Int
  public var token: GeneratedToken
  /// Set when the sample ends with this token.
  public var finish: FinishReason?

  public init(sample: Int, token: GeneratedToken, finish: FinishReason? = nil) {
    self.sample = sample
    self.token = token
    self.finish = finish
  }
}
