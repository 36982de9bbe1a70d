import Engine
import ModelRuntime
import ServingTestKit
import ServingTypes
import Testing

/// Invariant 1 with real weights and real attention.
@Suite(.serialized, .enabled(if: ModelFile.path(ModelFile.smolLM2) != nil, "the model is not here"))
struct RealModelTests {
  private static let prompts: [[TokenID]] = [
    [504, 3575, 282, 4649, 314],
    // A text that repeats itself, for the drafts.
    (0..<40).map { [504, 3575, 282, 4649, 314, 7042, 30, 198][$0 % 8] },
    (0..<150).map { TokenID(300 + $0 * 7 % 3000) },
    (0..<150).map { TokenID(300 + $0 * 7 % 3000) } + [253, 2155],
  ]

  @Test func sameTokensHoweverTheyAreComputed() async throws {
    let path = try #require(ModelFile.path(ModelFile.smolLM2))
    let weights = try ModelWeights(path: path, threads: 2)
    let requests = Self.prompts.enumerated().map { index, prompt in
      EngineRequest(
        prompt: prompt,
        sampling: SamplingParameters(
          temperature: index == 2 ? 0.8 : 0, topP: 0.95, seed: 3, maxTokens: 24, ignoreEOS: true))
    }
    let expected = try requests.map { try weights.reference($0) }
    // Small chunks, drafts, a cache, and too few blocks for all at once.
    let busy = EngineConfiguration(
      maxNumBatchedTokens: 96, prefillChunkSize: 40, handoffChunkSize: 32, targetStepTime: .zero,
      adaptsDraftLength: false, checkIntegrityOnIdle: true)
    let crowded = try weights.engine(blocks: 16, busy)
    for _ in 0..<2 {
      let handles = try requests.map { try crowded.generate($0) }
      for (index, handle) in handles.enumerated() {
        #expect(try await collect(handle).tokens[0] == expected[index], "request \(index)")
      }
    }
    #expect(crowded.statistics.acceptedTokens > 0)
    let handoff = Handoff(
      prefill: try weights.engine(busy), decode: try weights.engine(busy), cutAfter: 2)
    for (index, request) in requests.enumerated() {
      #expect(try await handoff.run(request).tokens[0] == expected[index], "request \(index) across engines")
    }
    for engine in [crowded, handoff.prefill, handoff.decode] {
      await engine.drain()
      try await expectClean(engine)
      await engine.stop()
    }
  }

  /// A model that drafts for itself guesses right each time, or its cache is not what it should be.
  @Test func aModelThatDraftsForItselfIsAlwaysRight() async throws {
    let path = try #require(ModelFile.path(ModelFile.smolLM2))
    let weights = try ModelWeights(path: path, threads: 2)
    let threads = try ThreadPool(threadCount: 2)
    let engine = try EngineCore(
      executor: CPUModelExecutor(
        weights: weights, configuration: .init(blockCount: 64, threads: 2), threadPool: threads),
      draftExecutor: draftExecutor(weights, threads),
      configuration: EngineConfiguration(
        targetStepTime: .zero, specMethod: .draft, numSpeculativeTokens: 3, adaptsDraftLength: false,
        checkIntegrityOnIdle: true))
    engine.start()
    let requests = Self.prompts.enumerated().map { index, prompt in
      EngineRequest(
        prompt: prompt,
        sampling: SamplingParameters(
          temperature: index % 2 == 0 ? 0.8 : 0, topP: 0.95, presencePenalty: 0.1, seed: 3, maxTokens: 24,
          ignoreEOS: true))
    }
    let handles = try requests.map { try engine.generate($0) }
    for (request, handle) in zip(requests, handles) {
      #expect(try await collect(handle).tokens[0] == (try weights.reference(request)))
    }
    let statistics = engine.statistics
    #expect(statistics.draftedTokens > 40)
    #expect(statistics.acceptedTokens == statistics.draftedTokens)
    await engine.drain()
    try await expectClean(engine)
    await engine.stop()
  }

  private func draftExecutor(_ weights: ModelWeights, _ threads: ThreadPool) throws -> sending (any ModelExecutor)? {
    try CPUModelExecutor(weights: weights, configuration: .init(blockCount: 64, threads: 2), threadPool: threads)
  }
}
