import Engine
import KVCache
import ServingTypes

/// Conversations of several turns, in which some clients take turns: while one conversation goes on, most others rest.
public struct ConversationLoad: Codable, Hashable, Sendable {
  public var conversations = 16
  /// Requests at once. A turn of each conversation comes before the next turn of any.
  public var clients = 4
  public var turns = 4
  /// Tokens of the first prompt, of what each further turn adds to the conversation, and of each answer.
  public var firstPromptLength = 768
  public var promptLength = 64
  public var outputLength = 32
  public var seed: UInt64 = 1

  public init() {}

  /// Blocks that hold all conversations to their end.
  public func workingSet(blockSize: Int) -> Int {
    conversations * BlockTable.blockCount(tokens: longestContext, blockSize: blockSize)
  }

  public var longestContext: Int {
    firstPromptLength + (turns - 1) * promptLength + turns * outputLength
  }

  public var trace: Trace {
    var requests: [TraceRequest] = []
    for turn in 0..<turns {
      for conversation in 0..<conversations {
        requests.append(
          TraceRequest(
            id: requests.count, promptLength: turn == 0 ? firstPromptLength : promptLength,
            outputLength: outputLength, conversation: conversation, turn: turn))
      }
    }
    return Trace(seed: seed, requests: requests)
  }

  /// Requests in the trace's order, which is by turns, and the seconds that all took.
  public func run(_ engine: EngineCore) async throws -> (requests: [RequestResult], seconds: Double) {
    let driver = LoadDriver(engine: engine, trace: trace)
    let start = ContinuousClock.now
    var results: [RequestResult] = []
    for turn in 0..<turns {
      let requests = driver.trace.requests[turn * conversations..<(turn + 1) * conversations]
      let histories = results.suffix(turn == 0 ? 0 : conversations).map { $0.prompt + $0.tokens }
      results += try await Self.run(requests, after: histories, clients: clients, driver, since: start)
    }
    return (results, (ContinuousClock.now - start) / .seconds(1))
  }

  /// One turn of every conversation; each has its own history, if any.
  private static func run(
    _ requests: ArraySlice<TraceRequest>, after histories: [[TokenID]], clients: Int, _ driver: LoadDriver,
    since start: ContinuousClock.Instant
  ) async throws -> [RequestResult] {
    try await withThrowingTaskGroup(of: RequestResult.self) { group in
      var results: [RequestResult] = []
      for (index, request) in requests.enumerated() {
        if index >= clients, let result = try await group.next() { results.append(result) }
        group.addTask {
          try await driver.send(request, after: histories.isEmpty ? [] : histories[index], since: start)
        }
      }
      for try await result in group { results.append(result) }
      return results.sorted { $0.request.id < $1.request.id }
    }
  }
}
