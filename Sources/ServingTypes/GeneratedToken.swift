/// One token that a sequence produced.
public struct GeneratedToken: Hashable, Sendable {
  public var id: TokenID
  /// Set when the request asked for log-probabilities.
  public var logprob: Float?
  /// The most likely tokens at this position, most likely first; as many as the request asked for.
  public var top: [TokenLogprob]

  public init(id: TokenID, logprob: Float? = nil, top: [TokenLogprob] = []) {
    self.id = id
    self.logprob = logprob
    self.top = top
  }
}
