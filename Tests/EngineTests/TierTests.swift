import Engine
import Foundation
import ServingTestKit
import ServingTypes
import Testing

/// Blocks below the pool: what they save, and that nothing they do, or fail to do, changes a token.
@Suite struct TierTests {
  /// Tiers over a pool that holds a part of what the conversations need.
  static func setup(blocks: Int = 24, hostBlocks: Int = 0) -> Setup {
    var setup = Setup()
    setup.blocks = blocks
    setup.configuration.swapSpace = hostBlocks * (256 + 64)
    setup.configuration.offloadThreshold = 0.3
    setup.configuration.prefillChunkSize = 32
    // Dearer than bringing blocks up.
    setup.cost = SimulatedExecutor.Cost(token: .microseconds(100))
    return setup
  }

  /// Conversations that take turns, each turn's prompt being all that was said before and a new question.
  static func converse(
    _ engine: EngineCore, _ setup: Setup, conversations: Int = 5, turns: Int = 3,
    between: (Int) async throws -> Void = { _ in }
  ) async throws {
    var said = (0..<conversations).map { prompt(70, seed: 100 + $0) }
    for turn in 0..<turns {
      for index in said.indices {
        let request = EngineRequest(prompt: said[index] + prompt(9, seed: turn * 50 + index), sampling: greedy(12))
        let answer = try await collect(engine.generate(request)).tokens[0]
        #expect(answer == (try setup.reference(request, count: 12)), "turn \(turn) of conversation \(index)")
        said[index] = request.prompt + answer
      }
      try await between(turn)
    }
  }

  private func folder() throws -> String {
    let folder = FileManager.default.temporaryDirectory.appending(path: "baton-tiers-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    return folder.path
  }

  // MARK: The same tokens

  @Test(arguments: [0, 6, 200], [false, true]) func conversationsComeBackFromTheTiers(
    hostBlocks: Int, hasFile: Bool
  ) async throws {
    var setup = Self.setup(hostBlocks: hostBlocks)
    let record = SimulatedExecutor.Record()
    setup.record = record
    if hasFile { setup.configuration.offloadDir = try folder() }
    let engine = try setup.engine()
    try await Self.converse(engine, setup)
    try await expectClean(engine)
    let tiers = engine.statistics.tiers
    if hostBlocks == 200 { #expect(tiers.hostHits > 0 && tiers.drops == 0) }
    if hostBlocks == 0 { #expect(tiers.hostHits == 0) }
    if hostBlocks > 0 { #expect(tiers.hostStores > 0 && tiers.hostBlocks <= hostBlocks) }
    if hasFile, hostBlocks < 200 { #expect(tiers.fileStores > 0) }
    #expect(tiers.prefetchesStarted == tiers.prefetchesUsed + tiers.prefetchesWasted)
    #expect(tiers.prefetchesUsed == tiers.hostHits + tiers.fileHits)
    #expect(engine.statistics.blockCount == setup.blocks)
    // With room for everything below the pool, no full block is computed twice.
    if hostBlocks == 200 { #expect(record.counts.tokens < 5 * (3 * 21 + 70) + 5 * 2 * 17) }
    await engine.stop()
    if let path = setup.configuration.offloadDir {
      #expect(try FileManager.default.contentsOfDirectory(atPath: path).isEmpty)
      try FileManager.default.removeItem(atPath: path)
    }
  }

  @Test(arguments: FaultyTier.Fault.allCases) func aFaultCostsARecomputation(fault: FaultyTier.Fault) async throws {
    let setup = Self.setup()
    let tier = FaultyTier(capacity: 60)
    let engine = try EngineCore(executor: setup.executor(), configuration: setup.configuration, fileTier: tier)
    engine.start()
    try await Self.converse(engine, setup, turns: 4) { turn in
      // Two good turns, then the fault.
      if turn == 1 { tier.fault = fault }
    }
    try await expectClean(engine)
    let tiers = engine.statistics.tiers
    switch fault {
    case .none, .hangs: break
    case .fills: #expect(tiers.failures(.full) > 0)
    case .loses: #expect(tiers.failures(.truncated) > 0)
    case .readsFail, .writesFail: #expect(tiers.failures(.unavailable) > 0)
    case .flipsABit, .mixesUp, .isAnotherLayout: #expect(tiers.failures(.corrupt) > 0)
    }
    await engine.stop()
    tier.fault = .none
  }

  /// The same for host memory, whose copies go straight to the pool's blocks.
  @Test func corruptHostMemoryIsNoticed() async throws {
    let setup = Self.setup()
    let tier = FaultyTier(capacity: 60, mayBlock: false)
    let engine = try EngineCore(executor: setup.executor(), configuration: setup.configuration, fileTier: tier)
    engine.start()
    try await Self.converse(engine, setup) { turn in
      if turn == 0 { tier.fault = .flipsABit }
    }
    try await expectClean(engine)
    #expect(engine.statistics.tiers.failures(.corrupt) > 0)
    #expect(engine.statistics.tiers.fileHits == 0)
    await engine.stop()
  }

  // MARK: A real file

  /// The engine's file: it has no name any more.
  private func openFile(in folder: String) throws -> String {
    for name in try FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd") {
      let path = "/proc/self/fd/\(name)"
      let target = try? FileManager.default.destinationOfSymbolicLink(atPath: path)
      if target?.hasPrefix(folder) == true { return path }
    }
    throw ServingError(.notFound, "no file is open in \(folder)")
  }

  @Test(arguments: [false, true]) func theFileIsDamagedUnderIt(isTruncated: Bool) async throws {
    var setup = Self.setup()
    let folder = try folder()
    defer { try? FileManager.default.removeItem(atPath: folder) }
    setup.configuration.offloadDir = folder
    setup.configuration.offloadSpace = 100 * 4096
    let engine = try setup.engine()
    try await Self.converse(engine, setup, turns: 4) { turn in
      guard turn == 1 else { return }
      let handle = try FileHandle(forUpdating: URL(filePath: openFile(in: folder)))
      if isTruncated {
        try handle.truncate(atOffset: 0)
      } else {
        for slot in 0..<100 {
          try handle.seek(toOffset: UInt64(slot * 4096 + 100))
          try handle.write(contentsOf: [0xA5])
        }
      }
      try handle.close()
    }
    try await expectClean(engine)
    let tiers = engine.statistics.tiers
    #expect(tiers.failures(isTruncated ? .truncated : .corrupt) > 0)
    #expect(tiers.fileBlocks <= 100)
    await engine.stop()
  }

  @Test func aFolderThatCannotBeWrittenToIsAnErrorAtTheStart() throws {
    for folder in ["/proc/nowhere", #filePath] {
      var setup = Self.setup()
      setup.configuration.offloadDir = folder
      let error = #expect(throws: ServingError.self) { try setup.engine() }
      #expect(error?.code == .failedPrecondition)
      #expect(error?.message.contains(folder) == true)
    }
    for change: (inout EngineConfiguration) -> Void in [
      { $0.swapSpace = -1 }, { $0.swapSpace = 100 }, { $0.offloadThreshold = 1.5 }, { $0.offloadNumThreads = 0 },
      { $0.prefetchBlocks = 0 }, { $0.offloadSpace = 0 },
    ] {
      var setup = Setup()
      change(&setup.configuration)
      #expect(throws: ServingError.self) { try setup.engine() }
    }
  }

  /// Their logits can only be computed, whatever lies in a tier.
  @Test func promptsWithLogprobsAreComputed() async throws {
    let tier = FaultyTier(capacity: 60)
    let (engine, setup, request) = try await engineWithATieredPrompt(tier)
    var asking = request
    asking.sampling.promptLogprobs = 1
    let outcome = try await collect(engine.generate(asking))
    #expect(outcome.tokens[0] == (try setup.reference(request, count: 3)))
    #expect(outcome.promptLogprobs.count == 199 && outcome.summary?.computedTokens == 200)
    #expect(engine.statistics.tiers.fileHits == 0)
    try await expectClean(engine)
    await engine.stop()
  }

  // MARK: Waiting

  /// An engine that has one conversation in a tier and not in its pool.
  private func engineWithATieredPrompt(
    _ tier: FaultyTier, step: Duration = .zero
  ) async throws -> (engine: EngineCore, setup: Setup, request: EngineRequest) {
    var setup = Self.setup()
    setup.configuration.offloadThreshold = 0
    setup.configuration.prefillChunkSize = 16
    setup.cost = SimulatedExecutor.Cost(step: step)
    let engine = try EngineCore(executor: setup.executor(), configuration: setup.configuration, fileTier: tier)
    engine.start()
    let request = EngineRequest(prompt: prompt(200, seed: 9), sampling: greedy(3))
    _ = try await collect(engine.generate(request))
    try await wait(for: engine, until: "12 blocks are stored") { $0.tiers.fileBlocks >= 12 }
    _ = try await collect(engine.generate(EngineRequest(prompt: prompt(370, seed: 10), sampling: greedy(3))))
    return (engine, setup, request)
  }

  private func waitUntilLoading(_ engine: EngineCore) async throws {
    try await wait(for: engine, until: "a sequence waits for the tier") { $0.tiers.loadingSequences > 0 }
  }

  @Test func othersOvertakeWhoWaitsForASlowDisk() async throws {
    let tier = FaultyTier(capacity: 60)
    // Computing is so slow that the wait goes on for seconds.
    let (engine, setup, request) = try await engineWithATieredPrompt(tier, step: .milliseconds(40))
    tier.fault = .hangs
    let waiting = try engine.generate(request)
    try await waitUntilLoading(engine)
    let other = EngineRequest(prompt: prompt(10, seed: 11), sampling: greedy(1))
    #expect(try await collect(engine.generate(other)).tokens[0] == (try setup.reference(other, count: 1)))
    #expect(engine.statistics.tiers.loadingSequences == 1)
    tier.fault = .none
    let outcome = try await collect(waiting)
    #expect(outcome.tokens[0] == (try setup.reference(request, count: 3)))
    #expect(outcome.summary?.cachedTokens == 192)
    #expect(engine.statistics.tiers.fileHits > 0)
    try await expectClean(engine)
    await engine.stop()
  }

  /// However long a disk takes: its blocks are computed instead, and from then on are not waited for.
  @Test func computingWinsOverADiskThatHangs() async throws {
    let tier = FaultyTier(capacity: 60)
    let (engine, setup, request) = try await engineWithATieredPrompt(tier)
    tier.fault = .hangs
    for _ in 0..<3 {
      #expect(try await collect(engine.generate(request)).tokens[0] == (try setup.reference(request, count: 3)))
      // All blocks of the pool are needed: those that the disk was to fill are not lost.
      let other = EngineRequest(prompt: prompt(380, seed: 12), sampling: greedy(4))
      #expect(try await collect(engine.generate(other)).tokens[0] == (try setup.reference(other, count: 4)))
    }
    let tiers = engine.statistics.tiers
    #expect(tiers.failures(.slow) > 0 && tiers.fileHits == 0)
    try await expectClean(engine)
    #expect(engine.statistics.pinnedBlocks == 0)
    await engine.stop()
    tier.fault = .none
  }

  enum Fate: CaseIterable { case cancelled, deadline, stopped, forgotten, drained }

  @Test(arguments: Fate.allCases) func whoeverEndsWhileItWaitsLeavesNothing(fate: Fate) async throws {
    let tier = FaultyTier(capacity: 60)
    let (engine, setup, request) = try await engineWithATieredPrompt(tier, step: .milliseconds(15))
    tier.fault = .hangs
    var bounded = request
    if fate == .deadline { bounded.deadline = .now + .milliseconds(300) }
    var waiting: GenerationHandle? = try engine.generate(bounded)
    try await waitUntilLoading(engine)
    switch fate {
    case .cancelled: waiting?.cancel()
    case .forgotten: waiting = nil
    case .stopped: await engine.stop()
    case .drained: await engine.drain()
    case .deadline: break
    }
    if let waiting {
      switch fate {
      case .cancelled: await expectError(.cancelled) { try await collect(waiting) }
      case .stopped: await expectError(.unavailable) { try await collect(waiting) }
      case .deadline: await expectError(.deadlineExceeded) { try await collect(waiting) }
      default: #expect(try await collect(waiting).tokens[0] == (try setup.reference(request, count: 3)))
      }
    }
    if fate != .stopped {
      await engine.drain()
      try await expectClean(engine)
    }
    #expect(engine.statistics.activeBlocks == 0)
    #expect(engine.statistics.pinnedBlocks == 0)
    #expect(engine.statistics.tiers.loadingSequences == 0)
    await engine.stop()
    tier.fault = .none
  }

  // MARK: What others see

  @Test func changesTellInWhichTierABlockLies() async throws {
    let setup = Self.setup(hostBlocks: 40)
    let engine = try setup.engine()
    var held: [BlockHash: CacheTier] = [:]
    func follow() async {
      let changes = await engine.cacheChanges()
      for block in changes.removed { #expect(held.removeValue(forKey: block.hash) == block.tier) }
      for block in changes.added {
        #expect(held[block.hash] != block.tier)
        held[block.hash] = block.tier
      }
      #expect(held.values.count { $0 == .device } == engine.statistics.cachedBlocks)
    }
    try await Self.converse(engine, setup, conversations: 9, turns: 2) { _ in await follow() }
    await follow()
    #expect(held.values.contains(.host))
    #expect(engine.statistics.tiers.drops > 0)
    #expect(held.values.count { $0 == .host } <= 40)
    await engine.stop()
  }

  /// Preempted sequences find their blocks again below the pool.
  @Test func preemptionSwaps() async throws {
    var setup = Self.setup(blocks: 20, hostBlocks: 200)
    let record = SimulatedExecutor.Record()
    setup.record = record
    let engine = try setup.engine(start: false)
    let requests = (0..<4).map { EngineRequest(prompt: prompt(50, seed: 30 + $0), sampling: greedy(150)) }
    let handles = try requests.map { try engine.generate($0) }
    engine.start()
    for (request, handle) in zip(requests, handles) {
      #expect(try await collect(handle).tokens[0] == (try setup.reference(request, count: 150)))
    }
    let statistics = engine.statistics
    #expect(statistics.preemptions > 0)
    #expect(statistics.tiers.hostHits > 0)
    // What a preempted sequence computes again is less than a block and what did not pay to bring up.
    #expect(record.counts.tokens < 4 * 200 + Int(statistics.preemptions) * 64)
    try await expectClean(engine)
    await engine.stop()
  }

  /// Hand-offs on both sides of which the blocks lie in tiers.
  @Test func handoffsFindTheirPrefixBelowThePool() async throws {
    let setup = Self.setup(hostBlocks: 200)
    let handoff = Handoff(prefill: try setup.engine(), decode: try setup.engine())
    var said = (0..<5).map { prompt(70, seed: 100 + $0) }
    for turn in 0..<3 {
      for index in said.indices {
        let request = EngineRequest(prompt: said[index] + prompt(9, seed: turn * 50 + index), sampling: greedy(12))
        let answer = try await handoff.run(request).tokens[0]
        #expect(answer == (try setup.reference(request, count: 12)), "turn \(turn) of conversation \(index)")
        said[index] = request.prompt + answer
      }
    }
    for engine in [handoff.prefill, handoff.decode] {
      #expect(engine.statistics.tiers.hostHits > 0)
      await engine.drain()
      try await expectClean(engine)
      await engine.stop()
    }
  }
}
