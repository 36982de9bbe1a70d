import Engine
import ServingTestKit
import ServingTypes
import Testing

/// Invariant 1 for every way of making drafts: they change the speed and nothing else.
@Suite struct SpeculationMethodTests {
  /// A draft model that often agrees with the target, but not always.
  private func setup(_ method: SpeculationMethod, drafts: Int = 4) -> Setup {
    var setup = Setup()
    setup.text = .repeating(period: 6)
    setup.draft = .init(text: .repeating(period: 12))
    setup.configuration.specMethod = method
    setup.configuration.numSpeculativeTokens = drafts
    return setup
  }

  private static let samplings: [SamplingParameters] = [
    SamplingParameters(temperature: 0, maxTokens: 60),
    SamplingParameters(temperature: 0.7, topP: 0.95, seed: 4, maxTokens: 60),
    SamplingParameters(
      temperature: 0.9, repetitionPenalty: 1.1, frequencyPenalty: 0.2, presencePenalty: 0.1, logitBias: [7: 3], seed: 9,
      maxTokens: 60, minTokens: 20),
    SamplingParameters(temperature: 0, maxTokens: 60, stopTokenIDs: [3, 17]),
  ]

  /// The reference's tokens up to the first stop token.
  private func expected(_ setup: Setup, _ request: EngineRequest, sample: Int = 0) throws -> [TokenID] {
    let tokens = try setup.reference(request, sample: sample, count: request.sampling.maxTokens ?? 0)
    let stops = request.sampling.stopTokenIDs
    guard
      let end = tokens.indices.first(where: {
        stops.contains(tokens[$0]) && $0 + 1 >= request.sampling.minTokens
      })
    else { return tokens }
    return Array(tokens[...end])
  }

  private func requests(_ count: Int) -> [EngineRequest] {
    (0..<count).map { index in
      var sampling = Self.samplings[index % Self.samplings.count]
      if index % 3 == 1 { sampling.logprobs = 2 }
      return EngineRequest(prompt: prompt(20 + index * 13, seed: index), sampling: sampling)
    }
  }

  @Test(arguments: SpeculationMethod.allCases, [1, 3, 8]) func sameTokensInABatch(
    method: SpeculationMethod, drafts: Int
  ) async throws {
    let setup = setup(method, drafts: drafts)
    let engine = try setup.engine()
    let requests = requests(8)
    let handles = try requests.map { try engine.generate($0) }
    for (request, handle) in zip(requests, handles) {
      #expect(try await collect(handle).tokens[0] == (try expected(setup, request)))
    }
    let statistics = engine.statistics
    #expect(statistics.acceptedTokens > 0)
    #expect(statistics.acceptedTokens <= statistics.draftedTokens)
    #expect(statistics.speculation.method == method)
    #expect(statistics.speculation.draftModel.forwards > 0 || method != .draft)
    try await expectClean(engine)
    #expect(engine.statistics.speculation.draftModel.activeBlocks == 0)
    await engine.stop()
  }

  /// Small chunks, a small budget, and too few blocks for all at once.
  @Test(arguments: SpeculationMethod.allCases) func sameTokensWhereBlocksAreShort(method: SpeculationMethod)
    async throws
  {
    var setup = setup(method)
    setup.blocks = 24
    setup.draft?.blocks = 16
    setup.configuration.prefillChunkSize = 24
    setup.configuration.maxNumBatchedTokens = 48
    let engine = try setup.engine()
    let requests = requests(8)
    for _ in 0..<2 {
      let handles = try requests.map { try engine.generate($0) }
      for (request, handle) in zip(requests, handles) {
        #expect(try await collect(handle).tokens[0] == (try expected(setup, request)))
      }
    }
    #expect(engine.statistics.preemptions > 0)
    #expect(engine.statistics.acceptedTokens > 0)
    try await expectClean(engine)
    await engine.stop()
  }

  @Test(arguments: SpeculationMethod.allCases) func parallelSamplesKeepTheirTokens(method: SpeculationMethod)
    async throws
  {
    let setup = setup(method)
    let engine = try setup.engine()
    let request = EngineRequest(
      prompt: prompt(50), sampling: SamplingParameters(temperature: 0.8, seed: 3, maxTokens: 40, n: 4))
    let outcome = try await collect(engine.generate(request), samples: 4)
    for sample in 0..<4 { #expect(outcome.tokens[sample] == (try expected(setup, request, sample: sample))) }
    try await expectClean(engine)
    await engine.stop()
  }

  @Test(arguments: SpeculationMethod.allCases) func theDecodeTierDraftsByItself(method: SpeculationMethod) async throws
  {
    let setup = setup(method)
    let handoff = Handoff(prefill: try setup.engine(), decode: try setup.engine())
    for request in requests(4) {
      #expect(try await handoff.run(request).tokens[0] == (try expected(setup, request)))
    }
    #expect(handoff.decode.statistics.acceptedTokens > 0)
    #expect(handoff.prefill.statistics.speculation.draftModel.forwards == 0)
    for engine in [handoff.prefill, handoff.decode] {
      await engine.drain()
      try await expectClean(engine)
      await engine.stop()
    }
  }

  @Test(arguments: SpeculationMethod.allCases) func adaptingKeepsTheTokens(method: SpeculationMethod) async throws {
    var setup = setup(method)
    setup.configuration.adaptsDraftLength = true
    setup.configuration.targetStepTime = .milliseconds(50)
    setup.cost = .init(step: .microseconds(500), token: .microseconds(10))
    let engine = try setup.engine()
    let requests = requests(4)
    let handles = try requests.map { try engine.generate($0) }
    for (request, handle) in zip(requests, handles) {
      #expect(try await collect(handle).tokens[0] == (try expected(setup, request)))
    }
    try await expectClean(engine)
    await engine.stop()
  }

  @Test func anAnswerSpeedsUpTheNextLikeIt() async throws {
    let setup = setup(.suffix)
    let engine = try setup.engine()
    func run(salt: String) async throws -> GenerationSummary {
      let request = EngineRequest(prompt: prompt(30), sampling: greedy(80), cacheSalt: salt)
      let outcome = try await collect(engine.generate(request))
      #expect(outcome.tokens[0] == (try setup.reference(request, count: 80)))
      return try #require(outcome.summary)
    }
    let first = try await run(salt: "a")
    let second = try await run(salt: "a")
    #expect(second.acceptedTokens > first.acceptedTokens)
    // Another tenant gains nothing.
    #expect(try await run(salt: "b").acceptedTokens == first.acceptedTokens)
    await engine.stop()
  }

  @Test(arguments: 0..<4) func aFailingDraftModelIsNoError(step: Int) async throws {
    var setup = setup(.draft)
    setup.draft?.failingStep = step
    let engine = try setup.engine()
    for request in requests(2) {
      #expect(try await collect(engine.generate(request)).tokens[0] == (try expected(setup, request)))
    }
    #expect(engine.statistics.speculation.draftModel.failures == 1)
    try await expectClean(engine)
    await engine.stop()
  }

  @Test func aDraftModelWithAShortContextStopsThere() async throws {
    var setup = setup(.draft)
    setup.draft?.maximumContextLength = 40
    let engine = try setup.engine()
    let request = EngineRequest(prompt: prompt(30), sampling: greedy(50))
    #expect(try await collect(engine.generate(request)).tokens[0] == (try expected(setup, request)))
    #expect(engine.statistics.speculation.draftModel.failures == 0)
    await engine.stop()
  }

  @Test func aDraftModelThatDoesNotFitIsRefused() throws {
    var missing = setup(.draft)
    missing.draft = nil
    #expect(throws: ServingError.self) { try missing.engine(start: false) }
    var otherVocabulary = setup(.draft)
    otherVocabulary.draft?.vocabularySize = 65
    #expect(throws: ServingError.self) { try otherVocabulary.engine(start: false) }
    var otherBlocks = setup(.draft)
    otherBlocks.draft?.blockSize = 32
    #expect(throws: ServingError.self) { try otherBlocks.engine(start: false) }
    // Nobody asks for it.
    missing.configuration.enableSpecDecode = false
    #expect(throws: Never.self) { try missing.engine(start: false) }
  }
}
