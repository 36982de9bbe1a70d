import ServingTypes

/// What became of one request to a cluster, by the clock of its client.
public struct ClusterResult: Sendable {
  public var request: TraceRequest
  /// What was sent: history, prefix and own tokens.
  public var prompt: [TokenID]
  /// Seconds from the run's start.
  public var submitted: Double
  public var tokens: [TokenID] = []
  /// Seconds from the submission to each token.
  public var arrivals: [Double] = []
  public var cachedTokens = 0
  /// Why there is no whole answer.
  public var failure: String?

  public init(request: TraceRequest, prompt: [TokenID], submitted: Double) {
    self.request = request
    self.prompt = prompt
    self.submitted = submitted
  }

  /// Takes a whole answer; one that is not whole is a failure.
  mutating func take(_ answer: ClusterLoad.Answer) {
    tokens = answer.tokens
    arrivals = answer.arrivals
    cachedTokens = answer.cachedTokens
    if tokens.count != request.outputLength {
      failure = "ended with \(tokens.count) of \(request.outputLength) tokens"
    }
  }

  public var firstTokenSeconds: Double { arrivals.first ?? 0 }
  /// Seconds between each token and the one before.
  public var gaps: [Double] { zip(arrivals.dropFirst(), arrivals).map { $0 - $1 } }
  public var end: Double { submitted + (arrivals.last ?? 0) }

  /// Whether the first token came in time, and the others, in the mean, did.
  public func meets(firstToken: Double, gap: Double) -> Bool {
    failure == nil && firstTokenSeconds <= firstToken && gaps.mean <= gap
  }
}
