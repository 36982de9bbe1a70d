import Engine
import ServingTestKit
import ServingTypes
import Testing

/// Thousands of requests that come, stop, die and are forgotten at random, over pools that are too small.
@Suite struct StormTests {
  private struct Storm {
    var setup: Setup
    var engine: EngineCore
    var other: EngineCore

    /// One request of a random kind with a random fate; whatever it ends with, it must not be wrong.
    func request(_ seed: UInt64) async throws {
      var random = SplitMix64(seed: seed)
      let shared = [0, 16, 40, 64][Int(random.next() % 4)]
      let n = random.next() % 5 == 0 ? 1 + Int(random.next() % 3) : 1
      let request = EngineRequest(
        prompt: prompt(shared, seed: 500) + prompt(1 + Int(random.next() % 60), seed: Int(random.next() % 50)),
        sampling: SamplingParameters(
          temperature: random.next() % 2 == 0 ? 0 : 1, seed: random.next() % 10, maxTokens: 1 + Int(random.next() % 40),
          n: n), priority: Int(random.next() % 3))
      switch random.next() % 4 {
      case 0, 1:
        let handle: GenerationHandle
        do { handle = try engine.generate(request) } catch { return }
        try await read(handle, request, &random)
      case 2:
        let handoff = Handoff(
          prefill: other, decode: engine, cutAfter: random.next() % 3 == 0 ? Int(random.next() % 4) : nil,
          losesEnd: random.next() % 5 == 0)
        do {
          let outcome = try await handoff.run(request)
          try check(outcome, request)
        } catch let error as ServingError {
          #expect([.resourceExhausted].contains(error.code), "\(error)")
        }
      default: try await abandon(request, &random)
      }
    }

    private func check(_ outcome: Outcome, _ request: EngineRequest) throws {
      for sample in 0..<request.sampling.n {
        let expected = try setup.reference(request, sample: sample, count: request.sampling.maxTokens ?? 0)
        #expect(outcome.tokens[sample] == expected)
      }
    }

    private func read(_ handle: GenerationHandle, _ request: EngineRequest, _ random: inout SplitMix64) async throws {
      let (fate, after) = (random.next() % 6, Int(random.next() % 20))
      if fate == 0 { return }
      if fate == 1 { handle.cancel() }
      var outcome = Outcome(samples: request.sampling.n)
      var count = 0
      do {
        for try await event in handle.events {
          switch event {
          case .tokens(let sample, let tokens, let finish):
            outcome.tokens[sample] += tokens.map(\.id)
            outcome.finishes[sample] = finish
          case .promptLogprobs: Issue.record("nobody asked for these")
          case .finished(let summary): outcome.summary = summary
          }
          count += 1
          if count == after {
            if fate == 2 { handle.cancel() }
            if fate == 3 { return }
            if fate == 4 { for sample in 0..<request.sampling.n { handle.stop(sample: sample) } }
          }
        }
      } catch {
        #expect(error.code == .cancelled && fate <= 2 || error.code == .resourceExhausted, "\(error)")
        return
      }
      #expect(outcome.summary != nil)
      if fate > 4 { try check(outcome, request) }
      for sample in 0..<request.sampling.n {
        let expected = try setup.reference(request, sample: sample, count: outcome.tokens[sample].count)
        #expect(outcome.tokens[sample] == expected)
      }
    }

    /// A receiver, or a lender, that goes away at some point without a word.
    private func abandon(_ request: EngineRequest, _ random: inout SplitMix64) async throws {
      do {
        if random.next() % 2 == 0 {
          let lender = try engine.prefill(request, heldBlocks: 0)
          var left = Int(random.next() % 6)
          for try await _ in lender.events {
            left -= 1
            if left < 0 { return }
          }
        } else {
          let receiver = try engine.receive(request)
          if random.next() % 4 == 0 { return }
          _ = try await receiver.reserve()
          if random.next() % 4 == 0 { return }
          let slots = try await receiver.bind()
          if random.next() % 2 == 0 { receiver.cancel() }
          for slot in slots { slot.memory[0] = 1 }
        }
      } catch {
        #expect([.resourceExhausted, .cancelled, .aborted].contains(error.code), "\(error)")
      }
    }
  }

  @Test(arguments: 0..<6) func nothingLeaksAndNothingIsWrong(seed: Int) async throws {
    try await run(seed: seed, Setup())
  }

  /// The same with blocks that go down and come up, on disks that fail in turn.
  @Test(arguments: 0..<6) func norBelowThePool(seed: Int) async throws {
    var setup = Setup()
    setup.configuration.swapSpace = [0, 20, 200][seed % 3] * (256 + 64)
    setup.configuration.offloadThreshold = [0.5, 0, 1][seed % 3]
    setup.configuration.prefetchBlocks = 1 + seed
    // Dearer than bringing blocks up.
    setup.cost = SimulatedExecutor.Cost(token: .microseconds(20))
    let tiers = (0..<2).map { _ in FaultyTier(capacity: 100) }
    let (faults, base) = (FaultyTier.Fault.allCases, setup)
    try await withThrowingTaskGroup(of: Void.self) { group in
      group.addTask { try await run(seed: seed, base, tiers: tiers) }
      group.addTask {
        var random = SplitMix64(seed: UInt64(seed))
        while !Task.isCancelled {
          for tier in tiers { tier.fault = random.next() % 2 == 0 ? .none : faults[Int(random.next() % 9)] }
          try? await Task.sleep(for: .milliseconds(5))
        }
        for tier in tiers { tier.fault = .none }
      }
      try await group.next()
      group.cancelAll()
    }
  }

  /// The same with prompts that go through the model in slices.
  @Test(arguments: 0..<6) func norInSlices(seed: Int) async throws {
    var setup = Setup()
    setup.configuration.targetStepTime = .milliseconds(50)
    setup.configuration.maxPrefillTokens = 8
    try await run(seed: seed, setup, clock: .ticking)
    #expect(setup.record.counts.piecewisePasses > 10)
  }

  private func run(seed: Int, _ base: Setup, tiers: [FaultyTier] = [], clock: ServingClock = .continuous) async throws {
    var setup = base
    setup.blocks = [20, 40, 100][seed % 3]
    setup.text = seed % 2 == 0 ? .repeating(period: 7) : .random
    setup.configuration.maxNumSeqs = 12
    setup.configuration.maxNumBatchedTokens = 100
    setup.configuration.prefillChunkSize = 40
    setup.configuration.handoffChunkSize = 32
    setup.configuration.enablePrefixCaching = seed != 4 || !tiers.isEmpty
    setup.configuration.batchSchedulerPolicy = seed % 2 == 0 ? .fifo : .lifo
    setup.configuration.maxQueueWait = .seconds(120)
    setup.configuration.specMethod = [.ngram, .suffix, .draft][seed / 2 % 3]
    setup.draft = .init(text: .repeating(period: 14), blocks: 30)
    let storm = Storm(
      setup: setup, engine: try setup.engine(fileTier: tiers.first, clock: clock),
      other: try setup.engine(fileTier: tiers.last, clock: clock))
    try await withThrowingTaskGroup(of: Void.self) { group in
      for worker in 0..<24 {
        group.addTask {
          for round in 0..<25 { try await storm.request(UInt64(seed * 10_000 + worker * 100 + round)) }
        }
      }
      try await group.waitForAll()
    }
    for engine in [storm.engine, storm.other] {
      await engine.drain()
      try await expectClean(engine)
      await engine.stop()
    }
  }
}
