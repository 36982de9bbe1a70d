import Engine
import ServingTypes
import Synchronization

/// Puts a trace to an engine and takes the times, as a client would.
public struct LoadDriver: Sendable {
  /// When requests are sent.
  public enum Mode: Hashable, Sendable {
    case allAtOnce
    /// Each client sends its next request when its last one has ended.
    case closedLoop(clients: Int)
    /// At their arrival times, whether or not earlier ones have ended.
    case atArrivals
  }

  public let engine: EngineCore
  public let trace: Trace
  public let source: PromptSource
  /// Of every request, but for the number of tokens.
  public var sampling: SamplingParameters
  /// What the engine refuses for want of room, or after too long a wait, is left out of the result and counted there.
  public var takesRefusals = false

  /// Greedy unless `sampling` says otherwise; prompts of random tokens unless there is a source.
  public init(
    engine: EngineCore, trace: Trace, source: PromptSource? = nil,
    sampling: SamplingParameters = SamplingParameters(temperature: 0)
  ) {
    self.engine = engine
    self.trace = trace
    self.source = source ?? .random(vocabularySize: engine.vocabularySize)
    self.sampling = sampling
  }

  /// - Throws: what the first request that fails fails with; one that was refused is a failure unless `takesRefusals`.
  public func run(_ mode: Mode) async throws -> LoadResult {
    let (gauge, before, start) = (LoadGauge(), engine.statistics, ContinuousClock.now)
    let chains = trace.chains
    let results = try await withThrowingTaskGroup(of: [RequestResult]?.self) { group in
      group.addTask {
        await gauge.watch(engine)
        return nil
      }
      var left: Int
      if case .closedLoop(let clients) = mode {
        left = min(max(1, clients), chains.count)
        let next = NextChain()
        for _ in 0..<left {
          group.addTask {
            var results: [RequestResult] = []
            while let index = next.take(of: chains.count) { results += try await send(chains[index], since: start) }
            return results
          }
        }
      } else {
        left = chains.count
        for chain in chains {
          group.addTask {
            if mode == .atArrivals, let arrival = chain.first?.arrival {
              try await Task.sleep(until: start + .seconds(arrival), clock: .continuous)
            }
            return try await send(chain, since: start)
          }
        }
      }
      defer { group.cancelAll() }
      var results: [RequestResult] = []
      while left > 0, let each = try await group.next() {
        guard let each else { continue }
        results += each
        left -= 1
      }
      return results
    }
    let end = results.compactMap(\.arrivals.last).max() ?? 0
    return LoadResult(
      requests: results.sorted { $0.request.id < $1.request.id }, refused: trace.requests.count - results.count,
      wallSeconds: end, before: before,
      after: engine.statistics, mostSeen: gauge.mostRunning, meanRunning: gauge.meanRunning,
      mostActiveBlocks: gauge.mostActiveBlocks, slotUse: gauge.slotUse)
  }

  /// One turn after the other, each continuing what was said.
  private func send(_ chain: [TraceRequest], since start: ContinuousClock.Instant) async throws -> [RequestResult] {
    var results: [RequestResult] = []
    for request in chain {
      let history = results.last.map { $0.prompt + $0.tokens } ?? []
      do {
        results.append(try await send(request, after: history, since: start))
      } catch let error as ServingError where takesRefusals && error.code == .resourceExhausted {
        break
      }
    }
    return results
  }

  /// Sends one request and reads its tokens.
  ///
  /// - Parameters:
  ///   - history: what its conversation has so far.
  ///   - start: what times are counted from.
  public func send(
    _ request: TraceRequest, after history: [TokenID] = [], since start: ContinuousClock.Instant
  ) async throws -> RequestResult {
    var asked = EngineRequest(prompt: history + trace.tokens(of: request, from: source), sampling: sampling)
    asked.sampling.maxTokens = request.outputLength
    asked.sampling.ignoreEOS = true
    (asked.tenant, asked.cacheSalt) = (request.tenantName, request.tenantName)
    let submitted = ContinuousClock.now
    let handle = try engine.generate(asked)
    var (tokens, arrivals, summary) = ([TokenID](), [Double](), GenerationSummary?.none)
    tokens.reserveCapacity(request.outputLength)
    arrivals.reserveCapacity(request.outputLength)
    for try await event in handle.events {
      switch event {
      case .tokens(_, let new, _):
        let time = (ContinuousClock.now - start) / .seconds(1)
        for token in new {
          tokens.append(token.id)
          arrivals.append(time)
        }
      case .promptLogprobs: break
      case .finished(let last): summary = last
      }
    }
    guard let summary, tokens.count == request.outputLength else {
      throw ServingError(
        .internalError, "request \(request.id) ended with \(tokens.count) of \(request.outputLength) tokens")
    }
    return RequestResult(
      request: request, prompt: asked.prompt, tokens: tokens, submitted: (submitted - start) / .seconds(1),
      arrivals: arrivals, summary: summary)
  }
}

/// Hands out the chains of a closed loop.
private final class NextChain: Sendable {
  private let next = Atomic(0)

  func take(of count: Int) -> Int? {
    let index = next.wrappingAdd(1, ordering: .relaxed).oldValue
    return index < count ? index : nil
  }
}
