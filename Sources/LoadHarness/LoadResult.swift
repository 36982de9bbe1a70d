import Engine

/// What an engine did with a trace.
public struct LoadResult: Sendable {
  /// In the trace's order.
  public var requests: [RequestResult]
  /// Requests that are missing because they, or an earlier turn, were refused.
  public var refused: Int
  public var wallSeconds: Double
  /// The engine's books before and after.
  public var before: EngineStatistics
  public var after: EngineStatistics
  /// Sequences, blocks and their use as seen while the load ran, about every five milliseconds.
  var mostSeen: Int
  public var meanRunning: Double
  public var mostActiveBlocks: Int
  /// Share of the places in the running sequences' blocks that held a token.
  public var slotUse: Double

  /// The most sequences in one step.
  public var mostRunning: Int {
    // The engine's count is exact, but holds for its whole life.
    after.mostRunningSequences > before.mostRunningSequences ? after.mostRunningSequences : mostSeen
  }

  public var outputTokens: Int { requests.reduce(0) { $0 + $1.tokens.count } }

  /// Generated tokens a second, of all requests together.
  public var outputTokensPerSecond: Double { wallSeconds > 0 ? Double(outputTokens) / wallSeconds : 0 }

  public var latencies: [Double] { requests.map(\.latency) }

  public var firstTokenSeconds: [Double] { requests.map(\.firstTokenSeconds) }

  /// Of all tenants but the one that sends most; empty where nobody is told apart.
  public var othersFirstTokenSeconds: [Double] {
    requests.filter { ($0.request.tenant ?? 0) > 0 }.map(\.firstTokenSeconds)
  }

  public var gaps: [Double] { requests.flatMap(\.gaps) }

  public var preemptions: Int { Int(after.preemptions - before.preemptions) }

  /// Share of the prompts' tokens that were found in the cache.
  public var hitRate: Double {
    let prompt = requests.reduce(0) { $0 + $1.prompt.count }
    return prompt == 0 ? 0 : Double(requests.reduce(0) { $0 + $1.cachedTokens }) / Double(prompt)
  }

  /// Drafted tokens that were right; nil where nothing was drafted.
  public var acceptanceRate: Double? {
    let drafted = requests.reduce(0) { $0 + $1.summary.draftedTokens }
    return drafted == 0 ? nil : Double(requests.reduce(0) { $0 + $1.summary.acceptedTokens }) / Double(drafted)
  }
}
