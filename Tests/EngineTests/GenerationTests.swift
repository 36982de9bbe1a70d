import Engine
import ServingTestKit
import ServingTypes
import Testing

@Suite struct GenerationTests {
  @Test func generatesWhatPlainDecodingGives() async throws {
    let setup = Setup()
    let engine = try setup.engine()
    let request = EngineRequest(prompt: prompt(37), sampling: greedy(50))
    let outcome = try await collect(engine.generate(request))
    #expect(outcome.tokens[0] == (try setup.reference(request, count: 50)))
    #expect(outcome.finishes == [.length])
    #expect(outcome.summary?.promptTokens == 37)
    #expect(outcome.summary?.computedTokens == 37)
    #expect(outcome.summary?.generatedTokens == 50)
    try await expectClean(engine)
    await engine.stop()
  }

  @Test func samplesWithASeedAsPlainDecodingDoes() async throws {
    let setup = Setup()
    let engine = try setup.engine()
    var sampling = SamplingParameters(
      temperature: 0.9, topK: 20, topP: 0.95, repetitionPenalty: 1.2, frequencyPenalty: 0.3, seed: 42, maxTokens: 40)
    sampling.logprobs = 2
    let request = EngineRequest(prompt: prompt(20), sampling: sampling)
    let outcome = try await collect(engine.generate(request))
    #expect(outcome.tokens[0] == (try setup.reference(request, count: 40)))
    #expect(outcome.logprobs[0].allSatisfy { $0 != nil })
    await engine.stop()
  }

  /// Invariant 1, over the ways in which a step may be put together.
  @Test(arguments: 0..<24) func tokensDoNotDependOnTheSchedule(variant: Int) async throws {
    var random = SplitMix64(seed: UInt64(variant) + 100)
    var setup = Setup()
    setup.blocks = [40, 64, 256][Int(random.next() % 3)]
    setup.text = random.next() % 2 == 0 ? .random : .repeating(period: 5)
    setup.configuration.prefillChunkSize = [1, 7, 16, 100, 1024][Int(random.next() % 5)]
    setup.configuration.maxNumBatchedTokens = [40, 64, 8192][Int(random.next() % 3)]
    setup.configuration.enablePrefixCaching = random.next() % 3 != 0
    setup.configuration.enableSpecDecode = random.next() % 2 == 0
    setup.configuration.numSpeculativeTokens = Int(random.next() % 8)
    setup.configuration.enableChunkedPrefill = random.next() % 4 != 0
    setup.configuration.maxNumSeqs = [2, 5, 32][Int(random.next() % 3)]
    setup.configuration.batchSchedulerPolicy = random.next() % 2 == 0 ? .fifo : .lifo
    let engine = try setup.engine()
    let requests = (0..<16).map { index in
      // Half of them share a long prefix.
      let shared = index % 2 == 0 ? prompt(50, seed: 9) : []
      return EngineRequest(
        prompt: shared + prompt(1 + Int(random.next() % 90), seed: index + 1),
        sampling: SamplingParameters(
          temperature: index % 3 == 0 ? 0.8 : 0, presencePenalty: index % 4 == 0 ? 0.5 : 0, seed: UInt64(index),
          maxTokens: 1 + Int(random.next() % 120)),
        priority: Int(random.next() % 3))
    }
    let outcomes = try await withThrowingTaskGroup(of: (Int, Outcome).self) { group in
      for (index, request) in requests.enumerated() {
        let handle = try engine.generate(request)
        group.addTask { (index, try await collect(handle)) }
      }
      return try await group.reduce(into: [Int: Outcome]()) { $0[$1.0] = $1.1 }
    }
    for (index, request) in requests.enumerated() {
      let expected = try setup.reference(request, count: request.sampling.maxTokens ?? 0)
      #expect(outcomes[index]?.tokens[0] == expected, "request \(index)")
    }
    try await expectClean(engine)
    await engine.stop()
  }
}
