import Engine
import ServingTestKit
import ServingTypes
import Testing

/// That the parameters of what lies below the pool reach it. Where a request waits for a tier, the engine's time stands still: no wait
/// is given up.
@Suite struct TierParameterTests {
  /// A pool of 24 blocks over a tier that has a prompt's 12 blocks; the pool has none of them.
  private func engineWithATieredPrompt(
    _ tier: FaultyTier, _ change: (inout EngineConfiguration) -> Void
  ) async throws -> (engine: EngineCore, setup: Setup, request: EngineRequest) {
    var setup = Setup()
    setup.blocks = 24
    setup.configuration.offloadThreshold = 0
    change(&setup.configuration)
    let engine = try setup.engine(notes: NotingExecutor.Notes(), fileTier: tier)
    engine.start()
    let request = EngineRequest(prompt: prompt(200, seed: 9), sampling: greedy(3))
    _ = try await collect(engine.generate(request))
    try await wait(for: engine, until: "12 blocks are stored") { $0.tiers.fileStores == 12 }
    _ = try await collect(engine.generate(EngineRequest(prompt: prompt(370, seed: 10), sampling: greedy(3))))
    try await wait(for: engine, until: "23 more are") { $0.tiers.fileStores == 12 + 23 }
    return (engine, setup, request)
  }

  /// Requests that pass those that wait for a tier: while they run, the engine begins whatever it may.
  private func runOthers(_ engine: EngineCore, _ setup: Setup) async throws {
    for seed in 20..<23 {
      let other = EngineRequest(prompt: prompt(10, seed: seed), sampling: greedy(4))
      #expect(try await collect(engine.generate(other)).tokens[0] == (try setup.reference(other, count: 4)))
    }
  }

  private func expectEnd(
    _ handle: GenerationHandle, _ request: EngineRequest, _ engine: EngineCore, _ setup: Setup
  ) async throws {
    let outcome = try await collect(handle)
    #expect(outcome.tokens[0] == (try setup.reference(request, count: 3)))
    #expect(outcome.summary?.cachedTokens == 192)
    #expect(engine.statistics.tiers.prefetchesUsed == 12 && engine.statistics.tiers.fileHits == 12)
    try await expectClean(engine)
    await engine.stop()
  }

  /// So many blocks of a sequence are on their way while none of them comes.
  @Test(arguments: [1, 3, 6]) func prefetchBlocks(count: Int) async throws {
    let tier = FaultyTier(capacity: 60)
    let (engine, setup, request) = try await engineWithATieredPrompt(tier) {
      $0.prefetchBlocks = count
      $0.offloadNumThreads = 8
    }
    tier.fault = .hangs
    let waiting = try engine.generate(request)
    try await runOthers(engine, setup)
    #expect(engine.statistics.tiers.loadingSequences == 1)
    #expect(engine.statistics.tiers.prefetchesStarted == UInt64(count))
    try await wait(for: engine, until: "all of them are read") { _ in tier.reads == count }
    tier.fault = .none
    try await expectEnd(waiting, request, engine, setup)
  }

  /// So many of them are read at once, though all are asked for.
  @Test(arguments: [1, 2, 5]) func offloadNumThreads(count: Int) async throws {
    let tier = FaultyTier(capacity: 60)
    let (engine, setup, request) = try await engineWithATieredPrompt(tier) {
      $0.prefetchBlocks = 12
      $0.offloadNumThreads = count
    }
    tier.fault = .hangs
    let waiting = try engine.generate(request)
    try await wait(for: engine, until: "each thread reads") { _ in tier.reads >= count }
    try await runOthers(engine, setup)
    #expect(engine.statistics.tiers.prefetchesStarted == 12)
    #expect(tier.reads == count)
    tier.fault = .none
    try await expectEnd(waiting, request, engine, setup)
  }

  /// Of a pool of 32 blocks 24 are left unused: so many of them are copied down as are too many by this share, and no more.
  @Test(arguments: [(0, 24), (0.25, 16), (0.5, 8), (0.75, 0), (1, 0)]) func offloadThreshold(
    threshold: Double, copied: Int
  ) async throws {
    var setup = Setup()
    setup.blocks = 32
    setup.configuration.swapSpace = 100 * (256 + 64)
    setup.configuration.offloadThreshold = threshold
    let engine = try setup.engine()
    func run(seed: Int) async throws {
      let request = EngineRequest(prompt: prompt(384, seed: seed), sampling: greedy(1))
      #expect(try await collect(engine.generate(request)).tokens[0] == (try setup.reference(request, count: 1)))
    }
    try await run(seed: 1)
    try await wait(for: engine, until: "\(copied) are copied down") { $0.tiers.hostStores == UInt64(copied) }
    // A turn of the loop that would have begun another.
    try await engine.checkIntegrity()
    try await wait(for: engine, until: "a turn was made") { $0.tiers.hostBlocks == copied }
    #expect(engine.statistics.tiers.evictionStores == 0)
    try await run(seed: 2)
    // The next one takes 16 of the 24: those that were not copied yet are now, at the last moment.
    if threshold == 0 { #expect(engine.statistics.tiers.evictionStores == 0) }
    if threshold == 1 { #expect(engine.statistics.tiers.evictionStores == 16) }
    try await expectClean(engine)
    await engine.stop()
  }

  /// A sequence that was preempted computes what it had, where that is faster than bringing it up. Here a block takes less than a
  /// nanosecond to compute, by a clock that goes on for computing alone, and more to come up, by the machine's.
  @Test func preemptedSequencesComputeWhereThatIsFaster() async throws {
    var setup = Setup()
    setup.blocks = 20
    setup.configuration.swapSpace = 200 * (256 + 64)
    setup.configuration.offloadThreshold = 1
    setup.configuration.enableSpecDecode = false
    setup.cost = SimulatedExecutor.Cost(token: .nanoseconds(0.01))
    let notes = NotingExecutor.Notes()
    let engine = try setup.engine(notes: notes)
    engine.start()
    // From the first load on it is known what one takes.
    for (length, seed) in [(100, 1), (310, 2), (100, 1)] {
      let request = EngineRequest(prompt: prompt(length, seed: seed), sampling: greedy(1))
      #expect(try await collect(engine.generate(request)).tokens[0] == (try setup.reference(request, count: 1)))
    }
    #expect(engine.statistics.tiers.hostHits == 6 && engine.statistics.tiers.bypassedPrefixes == 0)
    let before = notes.stepTokens.reduce(0, +)
    let request = EngineRequest(
      prompt: prompt(50, seed: 3), sampling: SamplingParameters(temperature: 1, seed: 3, maxTokens: 150, n: 6))
    let outcome = try await collect(engine.generate(request), samples: 6)
    for sample in 0..<6 {
      #expect(outcome.tokens[sample] == (try setup.reference(request, sample: sample, count: 150)))
    }
    let statistics = engine.statistics
    #expect(statistics.preemptions > 0 && statistics.tiers.bypassedPrefixes > 0)
    #expect(statistics.tiers.hostHits == 6)
    // At least the block each of them passed over.
    let again = notes.stepTokens.reduce(0, +) - before - (50 + 6 * 149)
    #expect(again >= 16 * Int(statistics.tiers.bypassedPrefixes))
    try await expectClean(engine)
    await engine.stop()
  }
}
