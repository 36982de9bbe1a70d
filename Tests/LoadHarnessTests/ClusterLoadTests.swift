import LoadHarness
import ServingTypes
import Testing

@Suite struct ClusterLoadTests {
  private func chat(_ turns: Int, conversation: Int = 0, from id: Int = 0) -> [TraceRequest] {
    (0..<turns).map { turn in
      TraceRequest(
        id: id + turn, promptLength: 8, outputLength: 4, prefix: .init(id: 1, length: 16),
        conversation: conversation, turn: turn, tenant: 3)
    }
  }

  private func answer(_ request: TraceRequest) -> ClusterLoad.Answer {
    ClusterLoad.Answer(
      tokens: (0..<request.outputLength).map { TokenID($0) },
      arrivals: (0..<request.outputLength).map { 0.5 + 0.1 * Double($0) }, cachedTokens: 10)
  }

  @Test func aTurnContinuesWhatWasSaid() async throws {
    let load = ClusterLoad(
      trace: Trace(seed: 1, requests: chat(3)), source: .random(vocabularySize: 100)
    ) { request, _ in answer(request) }
    let results = try await load.run()
    #expect(results.map { $0.prompt.count } == [24, 36, 48])
    for (before, after) in zip(results, results.dropFirst()) {
      #expect(after.prompt.starts(with: before.prompt + before.tokens))
      #expect(after.submitted >= before.submitted)
    }
    #expect(results.allSatisfy { $0.failure == nil && $0.request.tenantName == "tenant-3" })
  }

  @Test func aFailureEndsItsChatAndNoOther() async throws {
    let trace = Trace(seed: 1, requests: chat(3) + chat(2, conversation: 1, from: 3))
    let load = ClusterLoad(trace: trace, source: .random(vocabularySize: 100)) { request, _ in
      if request.id == 1 { throw ServingError(.unavailable, "gone") }
      return answer(request)
    }
    let results = try await load.run()
    #expect(results.map { $0.failure == nil } == [true, false, false, true, true])
  }

  @Test func aShortAnswerIsAFailure() async throws {
    let load = ClusterLoad(trace: Trace(seed: 1, requests: chat(1)), source: .random(vocabularySize: 100)) { _, _ in
      ClusterLoad.Answer(tokens: [1], arrivals: [0.1], cachedTokens: 0)
    }
    #expect(try await load.run()[0].failure == "ended with 1 of 4 tokens")
  }

  @Test func cancellingEndsTheRun() async throws {
    let trace = Trace(seed: 1, requests: [TraceRequest(id: 0, arrival: 1e6, promptLength: 1, outputLength: 1)])
    let load = ClusterLoad(trace: trace, source: .random(vocabularySize: 100)) { request, _ in answer(request) }
    await withThrowingTaskGroup(of: Void.self) { group in
      group.addTask { _ = try await load.run() }
      group.cancelAll()
      await #expect(throws: CancellationError.self) { try await group.next() }
    }
  }
}
