import Engine
import ServingTestKit
import ServingTypes
import Testing

/// Blocks that other workers hold: what fetching saves, and that nothing it does, or fails to do, changes a token.
@Suite struct FetchTests {
  /// What a holder does about a fetch.
  enum Holder: Sendable, Equatable {
    /// Gives so many blocks, as far as it has them.
    case gives(Int)
    /// Gives so many blocks and then says that the next one is damaged.
    case damages(after: Int)
    /// Gives so many blocks and then nothing, not even an end.
    case stalls(after: Int)
    /// Forgets what it was asked.
    case forgets

    static let all = Holder.gives(.max)
  }

  static let holders = [
    BlockHolder(
      worker: WorkerReference(id: WorkerID("holder"), address: "127.0.0.1:1", incarnation: Incarnation(1)), blocks: 100)
  ]

  static func setup(fetchTimeout: Duration = .seconds(30)) -> Setup {
    var setup = Setup()
    setup.configuration.fetchTimeout = fetchTimeout
    setup.configuration.prefillChunkSize = 32
    // Dearer than fetching.
    setup.cost = SimulatedExecutor.Cost(token: .microseconds(200))
    return setup
  }

  static func request(_ length: Int = 200, seed: Int = 1, tail: Int = 12, count: Int = 8) -> EngineRequest {
    EngineRequest(
      prompt: prompt(length, seed: seed) + prompt(tail, seed: 77), sampling: greedy(count), holders: holders)
  }

  /// An engine that has computed the request's prompt.
  static func holder(of request: EngineRequest, _ setup: Setup) async throws -> EngineCore {
    var other = setup
    other.record = SimulatedExecutor.Record()
    other.cost = SimulatedExecutor.Cost()
    let engine = try other.engine()
    var plain = request
    plain.holders = []
    _ = try await collect(engine.generate(plain), samples: request.sampling.n)
    return engine
  }

  /// Answers one fetch with the blocks of another engine.
  static func answer(_ fetch: BlockFetch, from holder: EngineCore, as kind: Holder = .all) async {
    var limit = Int.max
    var failure = FetchFailure.short
    switch kind {
    case .gives(let count): limit = count
    case .damages(let count): (limit, failure) = (count, .corrupt)
    case .stalls(let count): limit = count
    case .forgets: return
    }
    var taken = 0
    let loans = await holder.lend(fetch.hashes)
    for loan in loans {
      defer { loan.release() }
      guard taken < limit else { continue }
      let checksum = fetch.fill(taken) { memory in
        memory.copyMemory(from: loan.bytes)
        return blockChecksum(UnsafeRawBufferPointer(memory))
      }
      guard let checksum else { break }
      #expect(checksum == loan.checksum)
      taken += 1
      fetch.commit(checksum: checksum)
    }
    if case .stalls = kind { await fetch.waitUntilCalledOff() }
    fetch.end(
      FetchReport(
        latency: 0.001, seconds: 0.001, blocks: taken, failure: taken == fetch.hashes.count ? nil : failure))
  }

  private func first(_ engine: EngineCore) async throws -> BlockFetch {
    for await fetch in engine.fetches { return fetch }
    throw ServingError(.unavailable, "the engine stopped")
  }

  private func finish(_ engines: EngineCore...) async throws {
    for engine in engines {
      await engine.drain()
      try await expectClean(engine)
      #expect(engine.statistics.pinnedBlocks == 0)
      await engine.stop()
    }
  }

  // MARK: The same tokens

  @Test(arguments: [1, 3]) func whatAnotherHoldsIsNotComputed(n: Int) async throws {
    let setup = Self.setup()
    var request = Self.request()
    request.sampling = SamplingParameters(temperature: 0.7, seed: 5, maxTokens: 8, n: n)
    let holder = try await Self.holder(of: request, setup)
    let engine = try setup.engine()
    let handle = try engine.generate(request)
    let fetch = try await first(engine)
    #expect(fetch.firstIndex == 0 && fetch.hashes.count == 13 && fetch.holders == Self.holders)
    #expect(fetch.parentHash == BlockHash.root(salt: "", blockSize: 16))
    await Self.answer(fetch, from: holder)
    let outcome = try await collect(handle, samples: n)
    for sample in 0..<n {
      #expect(outcome.tokens[sample] == (try setup.reference(request, sample: sample, count: 8)))
    }
    #expect(outcome.summary?.fetchedBlocks == 13 && outcome.summary?.cachedTokens == 0)
    #expect(outcome.summary?.computedTokens == 4)
    let statistics = engine.statistics
    #expect(statistics.fetches.completed == 1 && statistics.fetches.blocks == 13)
    #expect(statistics.computedPromptTokens == 4)
    // It is here now.
    let again = try await collect(engine.generate(request), samples: n)
    #expect(again.tokens == outcome.tokens && again.summary?.cachedTokens == 208)
    #expect(engine.statistics.fetches.started == 1)
    try await finish(engine, holder)
  }

  /// The last turn's answer lies where it was generated; the next turn's prompt begins with it.
  @Test func aPrefillFetchesTheLastAnswer() async throws {
    let setup = Self.setup()
    let handoff = Handoff(prefill: try setup.engine(), decode: try setup.engine())
    let first = EngineRequest(prompt: prompt(70), sampling: greedy(80))
    let answer = try await handoff.run(first).tokens[0]
    var second = EngineRequest(prompt: first.prompt + answer + prompt(20, seed: 3), sampling: greedy(8))
    second.holders = [BlockHolder(worker: Self.holders[0].worker, blocks: 9)]
    async let served: Void = {
      for await fetch in handoff.prefill.fetches { await Self.answer(fetch, from: handoff.decode) }
    }()
    let computed = handoff.prefill.statistics.computedPromptTokens
    let outcome = try await handoff.run(second)
    #expect(outcome.tokens[0] == (try setup.reference(second, count: 8)))
    let statistics = handoff.prefill.statistics
    #expect(statistics.fetches.completed == 1)
    #expect(statistics.fetches.blocks >= 4)
    #expect(statistics.computedPromptTokens - computed < 32)
    try await finish(handoff.prefill, handoff.decode)
    await served
  }

  @Test(arguments: [
    Holder.gives(0), .gives(1), .gives(7), .gives(12), .damages(after: 0), .damages(after: 5), .stalls(after: 0),
    .stalls(after: 6), .forgets,
  ])
  func whatDoesNotComeIsComputed(kind: Holder) async throws {
    var isSlow = false
    if case .stalls = kind { isSlow = true }
    let setup = Self.setup(fetchTimeout: isSlow ? .milliseconds(500) : .seconds(30))
    let request = Self.request()
    let holder = try await Self.holder(of: request, setup)
    let engine = try setup.engine()
    let handle = try engine.generate(request)
    await Self.answer(try await first(engine), from: holder, as: kind)
    let outcome = try await collect(handle)
    #expect(outcome.tokens[0] == (try setup.reference(request, count: 8)))
    let fetches = engine.statistics.fetches
    switch kind {
    case .gives(let count), .damages(let count), .stalls(let count):
      #expect(fetches.blocks == UInt64(count))
      #expect(outcome.summary?.computedTokens == 212 - 16 * count)
      #expect(fetches.completed == 0)
    case .forgets: #expect(fetches.failures(.unreachable) == 1 && fetches.blocks == 0)
    }
    #expect(fetches.failures(.slow) == (isSlow ? 1 : 0))
    // What came before stays, as does what was computed.
    let again = try await collect(engine.generate(request))
    #expect(again.tokens == outcome.tokens && again.summary?.cachedTokens == 208)
    try await finish(engine, holder)
  }

  /// The engine has given up; what comes then is not taken, and the block under way is waited for.
  @Test func aBlockUnderWayIsWaitedForAndLateOnesAreNotTaken() async throws {
    let setup = Self.setup(fetchTimeout: .milliseconds(500))
    let request = Self.request()
    let holder = try await Self.holder(of: request, setup)
    let engine = try setup.engine()
    let handle = try engine.generate(request)
    let fetch = try await first(engine)
    let written = fetch.fill(0) { memory in
      // Calling off does not wait for the holder, computing does wait for the memory.
      while !fetch.isCalledOff {}
      memory.initializeMemory(as: UInt8.self, repeating: 0xEE)
      #expect(engine.statistics.computedPromptTokens == 0)
      return true
    }
    #expect(written == true)
    #expect(fetch.fill(1) { _ in true } == nil)
    fetch.commit(checksum: 0)
    fetch.end(FetchReport())
    #expect(try await collect(handle).tokens[0] == (try setup.reference(request, count: 8)))
    #expect(engine.statistics.fetches.failures(.slow) == 1 && engine.statistics.fetches.blocks == 0)
    try await finish(engine, holder)
  }

  @Test func nobodyFetchesWhatIsComputedFaster() async throws {
    var setup = Self.setup()
    setup.cost = SimulatedExecutor.Cost()
    let engine = try setup.engine()
    // The cost of a token is known from here on.
    _ = try await collect(engine.generate(EngineRequest(prompt: prompt(100, seed: 4), sampling: greedy(2))))
    let request = Self.request()
    #expect(try await collect(engine.generate(request)).tokens[0] == (try setup.reference(request, count: 8)))
    #expect(engine.statistics.fetches.started == 0 && engine.statistics.fetches.bypasses == 1)
    try await finish(engine)
  }

  @Test func nobodyFetchesWhereThatIsOffOrTooLittle() async throws {
    for isOff in [true, false] {
      var setup = Self.setup()
      if isOff { setup.configuration.enableBlockFetch = false } else { setup.configuration.fetchMinBlocks = 14 }
      let engine = try setup.engine()
      let request = Self.request()
      #expect(try await collect(engine.generate(request)).tokens[0] == (try setup.reference(request, count: 8)))
      #expect(engine.statistics.fetches == FetchStatistics())
      try await finish(engine)
    }
  }

  /// Their logits can only be computed.
  @Test func promptsWithLogprobsAreComputed() async throws {
    let setup = Self.setup()
    var request = Self.request()
    request.sampling.promptLogprobs = 1
    let engine = try setup.engine()
    let outcome = try await collect(engine.generate(request))
    #expect(outcome.promptLogprobs.count == 211 && outcome.summary?.computedTokens == 212)
    #expect(engine.statistics.fetches.started == 0)
    try await finish(engine)
  }

  // MARK: Others

  @Test func eightClientsFetchOnce() async throws {
    let setup = Self.setup()
    let request = Self.request()
    let holder = try await Self.holder(of: request, setup)
    let engine = try setup.engine(start: false)
    let requests = (0..<8).map { index in
      EngineRequest(
        prompt: request.prompt + prompt(5, seed: index), sampling: greedy(8), holders: Self.holders)
    }
    let handles = try requests.map { try engine.generate($0) }
    engine.start()
    await Self.answer(try await first(engine), from: holder)
    for (request, handle) in zip(requests, handles) {
      #expect(try await collect(handle).tokens[0] == (try setup.reference(request, count: 8)))
    }
    let statistics = engine.statistics
    #expect(statistics.fetches.started == 1)
    #expect(statistics.singleFlightWaits == 7)
    #expect(statistics.computedPromptTokens < 8 * 16)
    try await finish(engine, holder)
  }

  /// Who waited for the blocks of one that went away asks for them itself.
  @Test(arguments: [0, 5]) func theNextOneTakesOver(after count: Int) async throws {
    let setup = Self.setup()
    let request = Self.request()
    let holder = try await Self.holder(of: request, setup)
    let engine = try setup.engine()
    let gone = try engine.generate(request)
    let fetch = try await first(engine)
    let handle = try engine.generate(request)
    for position in 0..<count {
      let loans = await holder.lend(fetch.hashes)
      let checksum = fetch.fill(position) { memory in
        memory.copyMemory(from: loans[position].bytes)
        return loans[position].checksum
      }
      fetch.commit(checksum: try #require(checksum))
    }
    gone.cancel()
    await fetch.waitUntilCalledOff()
    let second = try await first(engine)
    #expect(second.firstIndex == count)
    await Self.answer(second, from: holder)
    #expect(try await collect(handle).tokens[0] == (try setup.reference(request, count: 8)))
    #expect(engine.statistics.fetches.failures(.unwanted) == 1)
    #expect(engine.statistics.fetches.blocks == 13)
    try await finish(engine, holder)
  }

  @Test func othersGoOnMeanwhile() async throws {
    let setup = Self.setup()
    let request = Self.request()
    let holder = try await Self.holder(of: request, setup)
    let engine = try setup.engine()
    let handle = try engine.generate(request)
    let fetch = try await first(engine)
    let other = EngineRequest(prompt: prompt(50, seed: 9), sampling: greedy(20))
    #expect(try await collect(engine.generate(other)).tokens[0] == (try setup.reference(other, count: 20)))
    await Self.answer(fetch, from: holder)
    #expect(try await collect(handle).tokens[0] == (try setup.reference(request, count: 8)))
    try await finish(engine, holder)
  }

  /// Whoever runs needs the blocks: the one that waits gives its own up at once, though the holder says nothing.
  @Test func whoWaitsGivesItsBlocksUp() async throws {
    var setup = Self.setup()
    setup.blocks = 32
    let request = Self.request()
    let holder = try await Self.holder(of: request, setup)
    let engine = try setup.engine()
    let running = EngineRequest(prompt: prompt(30, seed: 9), sampling: greedy(350))
    let first = try engine.generate(running)
    try await wait(for: engine, until: "a token is generated") { $0.generatedTokens > 0 }
    let second = try engine.generate(request)
    let fetch = try await self.first(engine)
    #expect(try await collect(first).tokens[0] == (try setup.reference(running, count: 350)))
    #expect(fetch.isCalledOff)
    #expect(try await collect(second).tokens[0] == (try setup.reference(request, count: 8)))
    #expect(engine.statistics.preemptions == 1)
    try await finish(engine, holder)
  }

  /// What lies below the own pool comes up, what lies behind it is fetched.
  @Test func ownTiersComeFirst() async throws {
    var setup = Self.setup()
    setup.blocks = 20
    setup.configuration.swapSpace = 100 * (256 + 64)
    setup.configuration.offloadThreshold = 0
    let request = Self.request()
    let holder = try await Self.holder(of: request, setup)
    let engine = try setup.engine()
    let beginning = EngineRequest(prompt: Array(request.prompt.prefix(80)), sampling: greedy(1))
    _ = try await collect(engine.generate(beginning))
    try await wait(for: engine, until: "5 blocks are stored") { $0.tiers.hostBlocks >= 5 }
    _ = try await collect(engine.generate(EngineRequest(prompt: prompt(310, seed: 10), sampling: greedy(3))))
    let handle = try engine.generate(request)
    let fetch = try await first(engine)
    #expect(fetch.firstIndex == 5)
    await Self.answer(fetch, from: holder)
    let outcome = try await collect(handle)
    #expect(outcome.tokens[0] == (try setup.reference(request, count: 8)))
    #expect(outcome.summary?.cachedTokens == 80 && outcome.summary?.fetchedBlocks == 8)
    #expect(engine.statistics.tiers.hostHits == 5)
    try await finish(engine, holder)
  }

  /// Of what lay in the blocks of a long fetch the engine's thread copies down as much as a step may, and drops the rest.
  @Test func aLongFetchHoldsNobodyUp() async throws {
    var setup = Self.setup()
    setup.blocks = 100
    setup.configuration.swapSpace = 200 * (256 + 64)
    setup.configuration.offloadThreshold = 1
    let request = Self.request(1440)
    let holder = try await Self.holder(of: request, setup)
    let engine = try setup.engine()
    _ = try await collect(engine.generate(EngineRequest(prompt: prompt(1500, seed: 10), sampling: greedy(1))))
    let handle = try engine.generate(request)
    let fetch = try await first(engine)
    #expect(fetch.hashes.count == 90)
    await Self.answer(fetch, from: holder)
    #expect(try await collect(handle).tokens[0] == (try setup.reference(request, count: 8)))
    let tiers = engine.statistics.tiers
    #expect(tiers.evictionStores >= 64 && tiers.drops > 0)
    #expect(tiers.hostStores == tiers.evictionStores && tiers.hostBlocks == Int(tiers.evictionStores))
    #expect(tiers.evictionStores + tiers.drops <= 94)
    try await finish(engine, holder)
  }

  /// Whoever notices first that time is up.
  @Test func aFetchThatEndsAsSlowRaisesTheEstimate() async throws {
    let engine = try Self.setup().engine()
    var estimates: [Double] = []
    for seed in [1, 2] {
      let handle = try engine.generate(Self.request(seed: seed))
      try await first(engine).end(FetchReport(failure: .slow))
      _ = try await collect(handle)
      estimates.append(engine.statistics.fetches.estimatedSeconds - estimates.reduce(0, +))
    }
    #expect(estimates[1] > estimates[0] * 1.0001)
    #expect(engine.statistics.fetches.failures(.slow) == 2)
    try await finish(engine)
  }

  // MARK: Ends

  enum Fate: CaseIterable { case cancelled, deadline, stopped, forgotten, drained }

  /// Before anybody took the fetch, while it goes on, and with a block under way.
  @Test(arguments: Fate.allCases, [-1, 0, 4]) func whoeverEndsWhileItWaitsLeavesNothing(
    fate: Fate, after count: Int
  ) async throws {
    let setup = Self.setup(fetchTimeout: fate == .drained ? .milliseconds(100) : .seconds(30))
    var request = Self.request()
    let holder = try await Self.holder(of: request, setup)
    let engine = try setup.engine()
    if fate == .deadline { request.deadline = .now + .milliseconds(200) }
    var handle: GenerationHandle? = try engine.generate(request)
    var fetch: BlockFetch?
    if count < 0 {
      try await wait(for: engine, until: "a fetch begins") { $0.fetches.started > 0 }
    } else {
      fetch = try await first(engine)
    }
    let loans = await holder.lend(fetch?.hashes ?? [])
    for position in 0..<max(0, count) {
      let checksum = fetch?.fill(position) { memory in
        memory.copyMemory(from: loans[position].bytes)
        return loans[position].checksum
      }
      if let checksum { fetch?.commit(checksum: checksum) }
    }
    switch fate {
    case .cancelled: handle?.cancel()
    case .forgotten: handle = nil
    case .stopped: await engine.stop()
    case .drained: await engine.drain()
    case .deadline: break
    }
    if let handle {
      switch fate {
      case .cancelled: await expectError(.cancelled) { try await collect(handle) }
      case .stopped: await expectError(.unavailable) { try await collect(handle) }
      case .deadline: await expectError(.deadlineExceeded) { try await collect(handle) }
      default: #expect(try await collect(handle).tokens[0] == (try setup.reference(request, count: 8)))
      }
    }
    for loan in loans { loan.release() }
    if fate != .stopped {
      await engine.drain()
      try await expectClean(engine)
    }
    #expect(fetch?.isCalledOff ?? true)
    #expect(engine.statistics.activeBlocks == 0 && engine.statistics.pinnedBlocks == 0)
    #expect(fetch?.fill(count) { _ in true } == nil)
    await engine.stop()
    try await finish(holder)
  }

  /// Requests, faults, cancellations and short blocks in any order.
  @Test(arguments: 1...6) func storm(seed: Int) async throws {
    var setup = Self.setup(fetchTimeout: .milliseconds(5))
    setup.blocks = 60
    setup.cost = SimulatedExecutor.Cost(token: .microseconds(60))
    if seed % 2 == 0 {
      setup.configuration.swapSpace = 80 * (256 + 64)
      setup.configuration.offloadThreshold = 0.3
    }
    let base = Self.request(250, tail: 0)
    let holder = try await Self.holder(of: base, setup)
    let engine = try setup.engine()
    await withTaskGroup(of: Void.self) { group in
      group.addTask {
        await withTaskGroup(of: Void.self) { answers in
          var random = SplitMix64(seed: UInt64(seed))
          for await fetch in engine.fetches {
            let count = Int(random.next() % 16)
            let kind: Holder =
              switch random.next() % 5 {
              case 0: .gives(count)
              case 1: .damages(after: count)
              case 2: .stalls(after: count)
              case 3: .forgets
              default: .all
              }
            answers.addTask { await Self.answer(fetch, from: holder, as: kind) }
          }
        }
      }
      await withTaskGroup(of: Void.self) { clients in
        var random = SplitMix64(seed: UInt64(seed + 100))
        for index in 0..<60 {
          let length = 20 + Int(random.next() % 230)
          let tail = Int(random.next() % 40)
          let isCancelled = random.next() % 4 == 0
          let wait = Duration.microseconds(Int(random.next() % 20_000))
          clients.addTask { [setup] in
            let request = EngineRequest(
              prompt: Array(base.prompt.prefix(length)) + prompt(tail, seed: 1000 + index), sampling: greedy(10),
              holders: Self.holders)
            try? await Task.sleep(for: wait)
            do {
              let handle = try engine.generate(request)
              if isCancelled {
                try await Task.sleep(for: wait)
                handle.cancel()
              }
              let tokens = try await collect(handle).tokens[0]
              #expect(tokens == (try setup.reference(request, count: 10)), "request \(index)")
            } catch let error as ServingError {
              #expect(isCancelled && error.code == .cancelled, "\(error)")
            } catch {
              Issue.record("\(error)")
            }
          }
        }
      }
      await engine.drain()
      await engine.stop()
    }
    #expect(engine.statistics.failure == nil)
    #expect(engine.statistics.activeBlocks == 0 && engine.statistics.pinnedBlocks == 0)
    #expect(engine.statistics.fetches.started > 0)
    try await finish(holder)
  }
}
