import ServingTypes

/// How a decode worker runs hand-offs.
public struct DecodeConfiguration: Sendable {
  /// Prefill candidates that are tried before the prompt is computed here.
  public var maxCandidates: Int
  /// Blocks that may be under way at once; it bounds what a hand-off holds outside the pool.
  public var creditWindow: Int
  /// How long a candidate may take to say its first word, connecting included.
  public var connectTimeout: Duration
  /// How long a candidate may keep the request in its queue.
  public var queueTimeout: Duration
  /// How long a hand-off under way may stand still.
  public var stallTimeout: Duration
  /// A candidate that says nothing for this long is asked whether it lives.
  public var probeAfter: Duration
  /// How long it may take to answer that.
  public var probeTimeout: Duration
  /// With at most this many tokens left to compute after the cached ones, a hand-off costs more than it saves.
  public var localPrefillTokens: Int
  /// Empty but in tests.
  package var mutants: Mutants = []

  public init(
    maxCandidates: Int = 3, creditWindow: Int = 16, connectTimeout: Duration = .seconds(5),
    queueTimeout: Duration = .seconds(30), stallTimeout: Duration = .seconds(30), probeAfter: Duration = .seconds(2),
    probeTimeout: Duration = .seconds(2), localPrefillTokens: Int = 32
  ) {
    self.maxCandidates = maxCandidates
    self.creditWindow = creditWindow
    self.connectTimeout = connectTimeout
    self.queueTimeout = queueTimeout
    self.stallTimeout = stallTimeout
    self.probeAfter = probeAfter
    self.probeTimeout = probeTimeout
    self.localPrefillTokens = localPrefillTokens
  }

  /// Whether a prompt is computed here for its last `left` tokens, though the router named prefill workers.
  ///
  /// It knew what was cached when the request came. Where another request brought most of the prompt in meanwhile, the rest
  /// is little, and a prefill worker may hold none of what goes before it.
  func computesHere(left: Int, of promptTokens: Int) -> Bool {
    left <= localPrefillTokens || left <= 4 * localPrefillTokens && 2 * left <= promptTokens
  }
}
