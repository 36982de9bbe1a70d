import Engine
import RPC
import ServingProtos
import ServingTestKit
import ServingTypes
import Testing

/// Drafts change nothing that a client sees, on one worker and across tiers, and leave nothing behind.
@Suite struct SpeculationWorkerTests {
  /// Text that drafts often guess, and a draft model that agrees with most of it.
  private func options(_ role: WorkerRole, _ method: SpeculationMethod?, blocks: Int = 512) -> WorkerOptions {
    var options = WorkerOptions(role: role, blockCount: blocks)
    options.text = .repeating(period: 6)
    options.draftText = .repeating(period: 12)
    options.engine.enableSpecDecode = method != nil
    options.engine.specMethod = method ?? .ngram
    options.engine.adaptsDraftLength = false
    options.engine.prefillChunkSize = 64
    return options
  }

  /// What plain decoding on one worker answers.
  private func plain(_ requests: [Baton_V1_DecodeRequest]) async throws -> [Answer] {
    try await withWorkers([options(.decode, nil)]) { workers, channels in
      var answers: [Answer] = []
      for request in requests { answers.append(try await ask(workers[0], request, channels)) }
      return answers
    }
  }

  private func expectEqual(_ answer: Answer, _ expected: Answer) {
    #expect(answer.tokens == expected.tokens)
    #expect(answer.text == expected.text)
    #expect(answer.finish == expected.finish)
    #expect(answer.last.usage.completionTokens == expected.last.usage.completionTokens)
  }

  private func requests() async throws -> [Baton_V1_DecodeRequest] {
    let base = decodeRequest(prompt(70), maxTokens: 60)
    let text = try await plain([base])[0].text[0]
    // Stop strings that end at each place of a draft, whole tokens or not.
    let characters = Array(text)
    var requests = (8..<16).map { start -> Baton_V1_DecodeRequest in
      var request = base
      request.sampling.stop = [String(characters[start * 2..<start * 2 + 5])]
      return request
    }
    var late = requests[0]
    late.sampling.minTokens = 40
    requests.append(late)
    var several = decodeRequest(prompt(70), maxTokens: 40, n: 3, temperature: 0.8, stop: ["w301", "w42"])
    several.sampling.minTokens = 9
    requests.append(several)
    var punished = decodeRequest(prompt(90, seed: 3), maxTokens: 40, temperature: 0.9)
    punished.sampling.repetitionPenalty = 1.2
    punished.sampling.presencePenalty = 0.3
    punished.sampling.frequencyPenalty = 0.2
    punished.sampling.logitBias = [300: 4, 301: -100]
    requests.append(punished)
    return requests
  }

  @Test(arguments: SpeculationMethod.allCases, [false, true])
  func stopsAndPenaltiesMeetDrafts(method: SpeculationMethod, withHandoff: Bool) async throws {
    let requests = try await requests()
    let expected = try await plain(requests)
    #expect(expected.prefix(8).allSatisfy { $0.finish == [.stop] })
    try await withWorkers([options(.prefill, method), options(.decode, method)]) { workers, channels in
      for (request, expected) in zip(requests, expected) {
        var request = request
        if withHandoff { request.prefillCandidates = [workers[0].reference] }
        expectEqual(try await ask(workers[1], request, channels), expected)
      }
      let statistics = workers[1].engine.statistics
      #expect(statistics.acceptedTokens > 0)
      // The decode worker's draft model reads prompts by itself; the prefill worker's has nothing to do.
      #expect(method != .draft || statistics.speculation.draftModel.tokens > 0)
      #expect(workers[0].engine.statistics.speculation.draftModel.forwards == 0)
      try await expectNoDraftBlocks(workers)
    }
  }

  /// Too few blocks for all at once, clients that leave, and prompts that come from elsewhere.
  @Test(arguments: SpeculationMethod.allCases)
  func cancelledAndPreemptedAcrossTiers(method: SpeculationMethod) async throws {
    let requests = (0..<8).map {
      decodeRequest(prompt(60 + $0 * 7, seed: $0), maxTokens: 160, temperature: $0 % 2 == 0 ? 0 : 0.7)
    }
    let expected = try await plain(requests)
    var decode = options(.decode, method, blocks: 40)
    // Slow enough for all to meet, and any three of them need more blocks at their ends than there are.
    decode.cost = SimulatedExecutor.Cost(step: .milliseconds(4))
    try await withWorkers([options(.prefill, method), decode]) { workers, channels in
      try await withThrowingTaskGroup(of: Void.self) { group in
        for (index, request) in requests.enumerated() {
          var request = request
          request.prefillCandidates = [workers[0].reference]
          group.addTask { [request] in
            struct Left: Error {}
            guard index % 3 == 2 else {
              expectEqual(try await ask(workers[1], request, channels), expected[index])
              return
            }
            await #expect(throws: (any Error).self) {
              _ = try await ask(workers[1], request, channels) { message in
                if !message.outputs.isEmpty { throw Left() }
              }
            }
          }
        }
        try await group.waitForAll()
      }
      #expect(workers[1].engine.statistics.preemptions > 0)
      // Text that was drawn repeats itself seldom enough for n-grams to find nothing.
      #expect(method == .ngram || workers[1].engine.statistics.acceptedTokens > 0)
      try await expectNoDraftBlocks(workers)
    }
  }

  private func expectNoDraftBlocks(_ workers: [TestWorker]) async throws {
    for worker in workers {
      try await worker.expectIdle()
      await worker.engine.drain()
      #expect(worker.engine.statistics.speculation.draftModel.activeBlocks == 0)
    }
  }
}
