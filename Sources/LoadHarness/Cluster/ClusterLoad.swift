import ServingTypes

/// Puts a trace to a cluster: each request at its time, whether or not earlier ones have ended; only a chat's next message
/// waits for the answer before it.
public struct ClusterLoad: Sendable {
  /// What a client received for one request.
  public struct Answer: Sendable {
    public var tokens: [TokenID]
    /// Seconds from the call to each token.
    public var arrivals: [Double]
    /// Prompt tokens that nobody had to compute.
    public var cachedTokens: Int

    public init(tokens: [TokenID], arrivals: [Double], cachedTokens: Int) {
      self.tokens = tokens
      self.arrivals = arrivals
      self.cachedTokens = cachedTokens
    }
  }

  /// Sends one request with its whole prompt.
  public typealias Send = @Sendable (TraceRequest, [TokenID]) async throws -> Answer

  public let trace: Trace
  public let source: PromptSource
  private let send: Send

  public init(trace: Trace, source: PromptSource, send: @escaping Send) {
    self.trace = trace
    self.source = source
    self.send = send
  }

  /// Runs until every request has ended. A chat whose answer failed goes no further: its other messages have failed too.
  ///
  /// - Returns: in the trace's order.
  public func run() async throws -> [ClusterResult] {
    let start = ContinuousClock.now
    let results = try await withThrowingTaskGroup(of: [ClusterResult].self) { group in
      for chain in trace.chains { group.addTask { try await run(chain, since: start) } }
      var results: [ClusterResult] = []
      for try await each in group { results += each }
      return results
    }
    return results.sorted { $0.request.id < $1.request.id }
  }

  private func run(_ chain: [TraceRequest], since start: ContinuousClock.Instant) async throws -> [ClusterResult] {
    var results: [ClusterResult] = []
    var history: [TokenID] = []
    var failure: String?
    for request in chain {
      try await Task.sleep(until: start + .seconds(request.arrival))
      let submitted = start.duration(to: .now) / .seconds(1)
      let prompt = history + trace.tokens(of: request, from: source)
      var result = ClusterResult(request: request, prompt: prompt, submitted: submitted)
      if let failure {
        result.failure = "the message before failed: \(failure)"
      } else {
        do {
          let answer = try await send(request, prompt)
          result.take(answer)
          history = prompt + answer.tokens
        } catch {
          try Task.checkCancellation()
          result.failure = "\(error)"
        }
        failure = result.failure
      }
      results.append(result)
    }
    return results
  }
}
