import Engine
import ServingTestKit
import ServingTypes
import Testing

@Suite struct SpeculationTests {
  @Test(arguments: [1, 2, 4, 7], [Float(0), 0.7]) func draftsChangeTheSpeedOnly(drafts: Int, temperature: Float)
    async throws
  {
    var setup = Setup()
    setup.text = .repeating(period: 6)
    setup.configuration.numSpeculativeTokens = drafts
    let record = SimulatedExecutor.Record()
    setup.record = record
    let engine = try setup.engine()
    let request = EngineRequest(
      prompt: prompt(30),
      sampling: SamplingParameters(temperature: temperature, presencePenalty: 0.1, seed: 4, maxTokens: 200))
    let outcome = try await collect(engine.generate(request))
    #expect(outcome.tokens[0] == (try setup.reference(request, count: 200)))
    let summary = try #require(outcome.summary)
    #expect(summary.draftedTokens > 0)
    #expect(summary.acceptedTokens <= summary.draftedTokens)
    if temperature == 0 {
      #expect(summary.acceptedTokens > 0)
      // Each accepted draft saves a step.
      #expect(record.counts.steps == 200 - summary.acceptedTokens)
    }
    try await expectClean(engine)
    await engine.stop()
  }

  /// The draft model comes to choose among the first half of the vocabulary; with noise a token may lie behind it.
  @Test(arguments: [Float(0), 0.17]) func aDraftModelMayKnowAPrefixOfTheVocabulary(temperature: Float) async throws {
    var setup = Setup()
    setup.vocabularySize = 32_768
    setup.spoken = 0..<64
    setup.draft = .init(text: .random, vocabularySize: 32_768, spoken: 0..<64)
    setup.configuration.specMethod = .draft
    let engine = try setup.engine()
    let requests = (0..<3).map {
      EngineRequest(
        prompt: prompt(30, seed: $0),
        sampling: SamplingParameters(temperature: temperature, seed: 4, maxTokens: 100))
    }
    for (request, handle) in zip(requests, try requests.map { try engine.generate($0) }) {
      let outcome = try await collect(handle)
      #expect(outcome.tokens[0] == (try setup.reference(request, count: 100)))
    }
    #expect(engine.statistics.acceptedTokens > 0)
    #expect(engine.statistics.speculation.draftModel.vocabulary == 16_384)
    try await expectClean(engine)
    await engine.stop()
  }

  @Test func aRequestMayForbidDrafts() async throws {
    var setup = Setup()
    setup.text = .repeating(period: 6)
    let engine = try setup.engine()
    var sampling = greedy(50)
    sampling.speculative = false
    let outcome = try await collect(engine.generate(EngineRequest(prompt: prompt(30), sampling: sampling)))
    #expect(outcome.summary?.draftedTokens == 0)
    await engine.stop()
  }

  @Test func limitsHoldWithinAcceptedDrafts() async throws {
    var setup = Setup()
    setup.text = .repeating(period: 3)
    setup.configuration.numSpeculativeTokens = 8
    setup.maximumContextLength = 64
    let engine = try setup.engine()
    for limit in 1...25 {
      let request = EngineRequest(prompt: prompt(30, seed: limit), sampling: greedy(limit))
      let outcome = try await collect(engine.generate(request))
      #expect(outcome.tokens[0] == (try setup.reference(request, count: limit)))
    }
    let open = EngineRequest(prompt: prompt(30), sampling: SamplingParameters(temperature: 0))
    #expect(try await collect(engine.generate(open)).tokens[0].count == 34)
    try await expectClean(engine)
    await engine.stop()
  }

  @Test func adaptiveLengthKeepsTheTokens() async throws {
    var setup = Setup()
    setup.text = .repeating(period: 4)
    setup.configuration.adaptsDraftLength = true
    setup.cost = SimulatedExecutor.Cost(step: .milliseconds(1), token: .microseconds(10))
    let engine = try setup.engine()
    let request = EngineRequest(prompt: prompt(30), sampling: greedy(150))
    let outcome = try await collect(engine.generate(request))
    #expect(outcome.tokens[0] == (try setup.reference(request, count: 150)))
    #expect((outcome.summary?.acceptedTokens ?? 0) > 0)
    await engine.stop()
  }
}
