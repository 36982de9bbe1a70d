/// A token and its natural-log probability under the unmodified distribution (temperature 1, before penalties and filters).
public struct TokenLogprob: Hashable, Sendable {
  public var token: TokenID
  public var logprob: Float

  public init(token: TokenID, logprob: Float) {
    self.token = token
    self.logprob = logprob
  }
}
