import Engine
import ServingTestKit
import ServingTypes
import Testing

@Suite struct SamplesTests {
  /// Each of n samples is what a request for that sample alone would get; the prompt is computed once.
  @Test(arguments: [1, 15, 16, 17, 32, 45], [64, 1024]) func samplesEqualSeparateRequests(length: Int, chunk: Int)
    async throws
  {
    var setup = Setup()
    setup.configuration.prefillChunkSize = chunk
    let engine = try setup.engine()
    let sampling = SamplingParameters(temperature: 1, seed: 7, maxTokens: 30, n: 5)
    let request = EngineRequest(prompt: prompt(length), sampling: sampling)
    let outcome = try await collect(engine.generate(request), samples: 5)
    for sample in 0..<5 {
      #expect(outcome.tokens[sample] == (try setup.reference(request, sample: sample, count: 30)), "sample \(sample)")
      #expect(outcome.finishes[sample] == .length)
    }
    #expect(outcome.summary?.computedTokens == length)
    #expect(outcome.summary?.generatedTokens == 150)
    // The prompt's unfinished last block is shared until somebody writes to it: all but the last writer copy it.
    #expect(engine.statistics.copyOnWriteCopies == (length % 16 == 0 ? 0 : 4))
    try await expectClean(engine)
    await engine.stop()
  }

  @Test func samplesUnderPressurePreemptEachOther() async throws {
    var setup = Setup()
    setup.blocks = 24
    let engine = try setup.engine()
    let sampling = SamplingParameters(temperature: 1, seed: 3, maxTokens: 100, n: 6)
    let request = EngineRequest(prompt: prompt(70), sampling: sampling)
    let outcome = try await collect(engine.generate(request), samples: 6)
    for sample in 0..<6 {
      #expect(outcome.tokens[sample] == (try setup.reference(request, sample: sample, count: 100)))
    }
    #expect(engine.statistics.preemptions > 0)
    try await expectClean(engine)
    await engine.stop()
  }

  @Test func aStoppedSampleEndsAndTheOthersGoOn() async throws {
    let setup = Setup()
    let engine = try setup.engine()
    let request = EngineRequest(
      prompt: prompt(20), sampling: SamplingParameters(temperature: 1, seed: 5, maxTokens: 200, n: 3))
    let handle = try engine.generate(request)
    var outcome = Outcome(samples: 3)
    for try await event in handle.events {
      switch event {
      case .tokens(let sample, let tokens, let finish):
        outcome.tokens[sample] += tokens.map(\.id)
        outcome.finishes[sample] = finish
        if sample == 1 { handle.stop(sample: 1) }
      case .promptLogprobs: Issue.record("nobody asked for these")
      case .finished(let summary): outcome.summary = summary
      }
    }
    #expect(outcome.summary != nil)
    #expect(outcome.finishes == [.length, nil, .length] || outcome.finishes == [.length, .length, .length])
    #expect(outcome.tokens[0] == (try setup.reference(request, sample: 0, count: 200)))
    #expect(outcome.tokens[2] == (try setup.reference(request, sample: 2, count: 200)))
    try await expectClean(engine)
    await engine.stop()
  }

  @Test func samplesStoppedBeforeTheForkStayStopped() async throws {
    let setup = Setup()
    let engine = try setup.engine(start: false)
    let request = EngineRequest(
      prompt: prompt(40), sampling: SamplingParameters(temperature: 1, seed: 5, maxTokens: 20, n: 3))
    let handle = try engine.generate(request)
    handle.stop(sample: 0)
    handle.stop(sample: 2)
    engine.start()
    let outcome = try await collect(handle, samples: 3)
    #expect(outcome.tokens[0].isEmpty && outcome.tokens[2].isEmpty)
    #expect(outcome.tokens[1] == (try setup.reference(request, sample: 1, count: 20)))
    try await expectClean(engine)
    await engine.stop()
  }

  /// A request that moved goes on exactly: positions, penalties and limits count what it brought along.
  @Test(arguments: [[10, 0, 3], [0, 0, 0], [25, 25, 25], [0, 40, 17]]) func movedSamplesGoOn(carried: [Int])
    async throws
  {
    let setup = Setup()
    let sampling = SamplingParameters(
      temperature: 0.9, repetitionPenalty: 1.3, frequencyPenalty: 0.4, presencePenalty: 0.2, seed: 11, maxTokens: 60,
      n: 3)
    let original = EngineRequest(prompt: prompt(33), sampling: sampling)
    let full = try (0..<3).map { try setup.reference(original, sample: $0, count: 60) }
    for caching in [true, false] {
      var setup = setup
      setup.configuration.enablePrefixCaching = caching
      setup.configuration.prefillChunkSize = 20
      let engine = try setup.engine()
      var moved = original
      moved.generated = zip(full, carried).map { Array($0.prefix($1)) }
      for _ in 0..<2 {
        let outcome = try await collect(engine.generate(moved), samples: 3)
        for sample in 0..<3 { #expect(outcome.tokens[sample] == Array(full[sample].dropFirst(carried[sample]))) }
        #expect(outcome.finishes == [.length, .length, .length])
      }
      try await expectClean(engine)
      await engine.stop()
    }
  }

  @Test func samplesThatHadFinishedStayFinished() async throws {
    let setup = Setup()
    let original = EngineRequest(
      prompt: prompt(33), sampling: SamplingParameters(temperature: 0.9, seed: 11, maxTokens: 20, n: 3))
    let full = try (0..<3).map { try setup.reference(original, sample: $0, count: 20) }
    let engine = try setup.engine()
    var moved = original
    moved.generated = [full[0], Array(full[1].prefix(4)), full[2]]
    let outcome = try await collect(engine.generate(moved), samples: 3)
    #expect(outcome.tokens == [[], Array(full[1].dropFirst(4)), []])
    #expect(outcome.finishes == [.length, .length, .length])
    moved.generated = full
    let over = try await collect(engine.generate(moved), samples: 3)
    #expect(over.finishes == [.length, .length, .length])
    try await expectClean(engine)
    await engine.stop()
  }
}
