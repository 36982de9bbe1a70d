import Engine
import Foundation
import ModelRuntime
import ServingTestKit
import ServingTypes
import Testing

@Suite struct PromptLogprobTests {
  private func request(_ length: Int, count: Int = 2, n: Int = 1, maxTokens: Int = 5, seed: Int = 1) -> EngineRequest {
    var sampling = greedy(maxTokens, n: n)
    sampling.promptLogprobs = count
    return EngineRequest(prompt: prompt(length, seed: seed), sampling: sampling)
  }

  /// The prompt's log-probabilities from one pass over the whole prompt, by the definition.
  private func expected(_ request: EngineRequest, _ setup: Setup) throws -> [Double] {
    var setup = setup
    setup.blocks = request.prompt.count / setup.blockSize + 1
    setup.record = SimulatedExecutor.Record()
    let executor = try setup.executor()
    var batch = ForwardBatch()
    batch.append(
      tokens: request.prompt, startPosition: 0, blocks: (0..<BlockID(setup.blocks)).map { $0 },
      logitCount: request.prompt.count)
    let logits = try executor.forward(batch)
    return (1..<request.prompt.count).map { position in
      let row = logits[(position - 1) * setup.vocabularySize..<position * setup.vocabularySize].map { exp(Double($0)) }
      return log(row[Int(request.prompt[position])] / row.reduce(0, +))
    }
  }

  private func check(_ outcome: Outcome, _ request: EngineRequest, _ setup: Setup) throws {
    let found = outcome.promptLogprobs
    let expected = try expected(request, setup)
    #expect(found.map(\.id) == Array(request.prompt.dropFirst()))
    for (token, value) in zip(found, expected) {
      #expect(abs(Double(token.logprob ?? 0) - value) < 1e-4)
      #expect(token.top.count == request.sampling.promptLogprobs)
    }
  }

  /// Whatever the chunks, and however much of the prompt is cached.
  @Test(arguments: [1, 2, 16, 17, 63, 64, 65, 150], [1024, 20]) func areThoseOfOnePass(length: Int, chunk: Int)
    async throws
  {
    for isChunked in [true, false] {
      var setup = Setup()
      setup.configuration.prefillChunkSize = chunk
      setup.configuration.enableChunkedPrefill = isChunked
      let engine = try setup.engine()
      let request = request(length)
      for _ in 0..<2 {
        let outcome = try await collect(engine.generate(request))
        try check(outcome, request, setup)
        #expect(outcome.tokens[0] == (try setup.reference(request, count: 5)))
        #expect(outcome.summary?.cachedTokens == 0)
      }
      // What they computed serves others, and these get none.
      var plain = request
      plain.sampling.promptLogprobs = nil
      let outcome = try await collect(engine.generate(plain))
      #expect(outcome.promptLogprobs.isEmpty)
      #expect(outcome.summary?.cachedTokens == max(0, length / 16 * 16 - (length % 16 == 0 ? 1 : 0)))
      try await expectClean(engine)
      await engine.stop()
    }
  }

  @Test func severalAtOnceUnderPressure() async throws {
    var setup = Setup()
    setup.blocks = 16
    let engine = try setup.engine(start: false)
    let requests = (0..<6).map { request(70 + $0, n: 1 + $0 % 3, maxTokens: 60, seed: $0) }
    let handles = try requests.map { try engine.generate($0) }
    engine.start()
    for (handle, request) in zip(handles, requests) {
      let outcome = try await collect(handle, samples: request.sampling.n)
      try check(outcome, request, setup)
      for sample in 0..<request.sampling.n {
        #expect(outcome.tokens[sample] == (try setup.reference(request, sample: sample, count: 60)))
      }
    }
    #expect(engine.statistics.preemptions > 0)
    try await expectClean(engine)
    await engine.stop()
  }

  /// In chunks of no more rows of logits than memory was counted for.
  @Test func aMovedRequestGetsThemAgain() async throws {
    let setup = Setup()
    let engine = try setup.engine()
    var moved = request(90, count: 0, maxTokens: 20)
    let full = try setup.reference(moved, count: 20)
    moved.generated = [Array(full.prefix(12))]
    let outcome = try await collect(engine.generate(moved))
    try check(outcome, moved, setup)
    #expect(outcome.tokens[0] == Array(full.dropFirst(12)))
    #expect(setup.record.counts.largestSegment <= 64)
    await engine.stop()
  }

  @Test func onlyWhereThePromptIsComputed() async throws {
    let engine = try Setup().engine()
    await expectError(.invalidArgument) { try engine.receive(self.request(20)) }
    await expectError(.invalidArgument) { try engine.prefill(self.request(20), heldBlocks: 0) }
    await expectError(.invalidArgument) { try engine.generate(self.request(20, count: 21)) }
    await expectError(.invalidArgument) { try engine.generate(self.request(20, count: -1)) }
    await engine.stop()
  }
}
