import Engine
import ServingTestKit
import ServingTypes
import Testing

@Suite struct LimitsTests {
  @Test func refusesBadRequests() async throws {
    var setup = Setup()
    setup.maximumContextLength = 100
    setup.configuration.maxNumSeqs = 4
    let engine = try setup.engine()
    #expect(engine.maximumContextLength == 100)
    let bad: [EngineRequest] = [
      EngineRequest(prompt: []),
      EngineRequest(prompt: [1, 64]),
      EngineRequest(prompt: [-1]),
      EngineRequest(prompt: prompt(100)),
      EngineRequest(prompt: prompt(60), generated: [prompt(41)]),
      EngineRequest(prompt: [1], generated: [[1], [2]]),
      EngineRequest(prompt: [1], generated: [[99]]),
      EngineRequest(prompt: [1], sampling: SamplingParameters(temperature: -1)),
      EngineRequest(prompt: [1], sampling: SamplingParameters(n: 5)),
    ]
    for request in bad {
      await expectError(.invalidArgument) { try engine.generate(request) }
      await expectError(.invalidArgument) { try engine.prefill(request, heldBlocks: 0) }
      await expectError(.invalidArgument) { try engine.receive(request) }
    }
    await expectError(.invalidArgument) { try engine.prefill(EngineRequest(prompt: prompt(31)), heldBlocks: 2) }
    await expectError(.invalidArgument) { try engine.prefill(EngineRequest(prompt: prompt(31)), heldBlocks: -1) }
    try await expectClean(engine)
    await engine.stop()
  }

  @Test func refusesBadConfigurations() throws {
    for change: (inout EngineConfiguration) -> Void in [
      { $0.maxNumSeqs = 0 }, { $0.maxNumBatchedTokens = 0 }, { $0.prefillChunkSize = 0 }, { $0.maxModelLen = 1 },
      { $0.maxQueueWait = .zero }, { $0.maxQueuedRequests = 0 }, { $0.numSpeculativeTokens = -1 },
      { $0.targetStepTime = .seconds(-1) },
    ] {
      var setup = Setup()
      change(&setup.configuration)
      #expect(throws: ServingError.self) { try setup.engine() }
    }
  }

  @Test func endsAtTheContextsEnd() async throws {
    var setup = Setup()
    setup.blocks = 5
    let engine = try setup.engine()
    #expect(engine.maximumContextLength == 80)
    let request = EngineRequest(prompt: prompt(30), sampling: SamplingParameters(temperature: 0))
    let outcome = try await collect(engine.generate(request))
    #expect(outcome.tokens[0] == (try setup.reference(request, count: 50)))
    #expect(outcome.finishes == [.length])
    try await expectClean(engine)
    await engine.stop()
  }

  @Test func endsAtStopTokensAfterTheLeast() async throws {
    var setup = Setup()
    let engine = try setup.engine()
    let plain = EngineRequest(prompt: prompt(30), sampling: greedy(60))
    let full = try setup.reference(plain, count: 60)
    var sampling = greedy(60)
    let place = try #require(full.indices.first { !full[..<$0].contains(full[$0]) && $0 > 5 })
    sampling.stopTokenIDs = [full[place]]
    let stopped = try await collect(engine.generate(EngineRequest(prompt: plain.prompt, sampling: sampling)))
    #expect(stopped.tokens[0] == Array(full[...place]))
    #expect(stopped.finishes == [.stop])
    // Until the least number is reached the stop token is not drawn at all.
    sampling.minTokens = place + 5
    let least = EngineRequest(prompt: plain.prompt, sampling: sampling)
    let longer = try await collect(engine.generate(least))
    #expect(longer.tokens[0].count >= place + 5)
    #expect(!longer.tokens[0].prefix(place + 4).contains(full[place]))
    await engine.stop()

    setup.endOfGeneration = [full[place]]
    let ending = try setup.engine()
    #expect(try await collect(ending.generate(plain)).tokens[0] == Array(full[...place]))
    sampling = greedy(60)
    sampling.ignoreEOS = true
    let ignoring = EngineRequest(prompt: plain.prompt, sampling: sampling)
    #expect(try await collect(ending.generate(ignoring)).tokens[0] == full)
    await ending.stop()
  }

  @Test func aFullQueueRefusesAtOnce() async throws {
    var setup = Setup()
    setup.configuration.maxQueuedRequests = 3
    let engine = try setup.engine(start: false)
    let handles = try (0..<3).map {
      try engine.generate(EngineRequest(prompt: prompt(5, seed: $0), sampling: greedy(3)))
    }
    await expectError(.resourceExhausted) { try engine.generate(EngineRequest(prompt: [1])) }
    engine.start()
    for handle in handles { _ = try await collect(handle) }
    // Each place is given back once.
    let again = try (0..<3).map { try engine.generate(EngineRequest(prompt: prompt(5, seed: $0), sampling: greedy(3))) }
    for handle in again { _ = try await collect(handle) }
    try await expectClean(engine)
    await engine.stop()
    await expectError(.unavailable) { try engine.generate(EngineRequest(prompt: [1])) }
  }

  @Test func whoWaitsTooLongIsRefused() async throws {
    var setup = Setup()
    setup.configuration.maxNumSeqs = 1
    setup.configuration.maxQueueWait = .seconds(2)
    setup.cost = SimulatedExecutor.Cost(step: .milliseconds(20))
    let engine = try setup.engine()
    let running = try engine.generate(EngineRequest(prompt: prompt(5), sampling: greedy(2000)))
    // It runs once its first token is here.
    for try await _ in running.events { break }
    let waiting = try engine.generate(EngineRequest(prompt: prompt(6), sampling: greedy(1)))
    let receiving = try engine.receive(EngineRequest(prompt: prompt(40), sampling: greedy(1)))
    await expectError(.resourceExhausted) { try await collect(waiting) }
    await expectError(.resourceExhausted) { try await receiving.reserve() }
    running.cancel()
    await expectError(.cancelled) { for try await _ in running.events {} }
    try await expectClean(engine)
    await engine.stop()
  }

  @Test func deadlinesAreKept() async throws {
    var setup = Setup()
    setup.cost = SimulatedExecutor.Cost(step: .milliseconds(2))
    let engine = try setup.engine()
    let handle = try engine.generate(
      EngineRequest(prompt: prompt(5), sampling: greedy(2000), deadline: .now + .milliseconds(100)))
    await expectError(.deadlineExceeded) { try await collect(handle) }
    let past = try engine.receive(EngineRequest(prompt: prompt(50), deadline: .now - .seconds(1)))
    await expectError(.deadlineExceeded) { try await past.reserve() }
    try await expectClean(engine)
    await engine.stop()
  }

  @Test func aFailedStepFailsItsRequests() async throws {
    var setup = Setup()
    setup.failingStep = 5
    let engine = try setup.engine()
    let handle = try engine.generate(EngineRequest(prompt: prompt(20), sampling: greedy(100)))
    await expectError(.internalError) { try await collect(handle) }
    let next = EngineRequest(prompt: prompt(20), sampling: greedy(10))
    #expect(try await collect(engine.generate(next)).tokens[0] == (try setup.reference(next, count: 10)))
    try await expectClean(engine)
    await engine.stop()
  }

  @Test func drainsAndStops() async throws {
    let setup = Setup()
    let engine = try setup.engine()
    let handle = try engine.generate(EngineRequest(prompt: prompt(20), sampling: greedy(100)))
    async let outcome = collect(handle)
    await engine.drain()
    await expectError(.unavailable) { try engine.generate(EngineRequest(prompt: [1])) }
    #expect(try await outcome.finishes == [.length])
    await engine.stop()
    await engine.stop()
    await expectError(.unavailable) { try await engine.checkIntegrity() }
    #expect(await engine.lend([BlockHash.root(salt: "", blockSize: 16)]).isEmpty)
  }

  @Test func stoppingCancelsWhatRuns() async throws {
    var setup = Setup()
    // So slow that none is done before the stop, however late this task gets on.
    setup.cost = SimulatedExecutor.Cost(step: .milliseconds(40))
    let engine = try setup.engine()
    let receiver = try engine.receive(EngineRequest(prompt: prompt(50, seed: 50), sampling: greedy(2)))
    #expect(try await receiver.reserve() == 0)
    let handles = try (0..<5).map {
      try engine.generate(EngineRequest(prompt: prompt(20, seed: $0), sampling: greedy(2000)))
    }
    await engine.stop()
    for handle in handles { await expectError(.unavailable) { try await collect(handle) } }
    await expectError(.unavailable) { try await receiver.bind() }
    #expect(engine.statistics.activeBlocks == 0)
  }

  @Test func anEngineThatNeverStartedStops() async throws {
    let engine = try Setup().engine(start: false)
    let handle = try engine.generate(EngineRequest(prompt: [1, 2], sampling: greedy(2)))
    await engine.stop()
    await expectError(.unavailable) { try await collect(handle) }
  }

  @Test func aRequestNobodyHoldsIsCancelled() async throws {
    let setup = Setup()
    let engine = try setup.engine()
    do {
      _ = try engine.generate(EngineRequest(prompt: prompt(20), sampling: greedy(2000)))
      _ = try engine.prefill(EngineRequest(prompt: prompt(20), sampling: greedy(2000)), heldBlocks: 0)
      _ = try engine.receive(EngineRequest(prompt: prompt(20), sampling: greedy(2000)))
    }
    await engine.drain()
    try await expectClean(engine)
    // The prefill may have been done before its handle was dropped.
    #expect(engine.statistics.requestsCancelled >= 2)
    await engine.stop()
  }

  @Test func aReaderMayBeCancelledAndAnotherReadOn() async throws {
    var setup = Setup()
    setup.cost = SimulatedExecutor.Cost(step: .milliseconds(1))
    let engine = try setup.engine()
    let request = EngineRequest(prompt: prompt(20), sampling: greedy(50))
    let handle = try engine.generate(request)
    let reader = Task {
      var tokens: [TokenID] = []
      do {
        for try await event in handle.events {
          if case .tokens(_, let new, _) = event { tokens += new.map(\.id) }
        }
      } catch {}
      return tokens
    }
    reader.cancel()
    let first = await reader.value
    let rest = try await collect(handle)
    #expect(first + rest.tokens[0] == (try setup.reference(request, count: 50)))
    await engine.stop()
  }
}
