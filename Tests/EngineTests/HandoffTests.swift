import Engine
import ServingTestKit
import ServingTypes
import Testing

/// Carries blocks from one engine to another as the workers do, without the network.
struct Handoff {
  var prefill: EngineCore
  var decode: EngineCore
  /// Stop after this many blocks, as if the connection were lost.
  var cutAfter: Int?
  /// Lose the end.
  var losesEnd = false

  enum Result {
    case ended(PrefillEnd)
    case cut
  }

  /// One candidate: asks for what is not held, copies and commits each block.
  func transfer(_ request: EngineRequest, held: Int, into receiver: ReceiveHandle) async throws -> Result {
    let lender = try prefill.prefill(request, heldBlocks: held)
    var slots: [BlockSlot] = []
    var taken = 0
    for try await event in lender.events {
      switch event {
      case .queued: break
      case .started(let blocks, _):
        do throws(ServingError) {
          slots = try await receiver.bind()
        } catch {
          // Blocks were short: the request computes its prompt itself by now.
          guard error.code == .aborted else { throw error }
          lender.cancel()
          return .cut
        }
        #expect(slots.count == blocks)
      case .block(let loan):
        if taken == cutAfter {
          lender.cancel()
          return .cut
        }
        let slot = slots[taken]
        taken += 1
        #expect(slot.index == loan.index && slot.hash == loan.hash && slot.parentHash == loan.parentHash)
        #expect(slot.tokenCount == loan.tokenCount && slot.tokens == loan.tokens)
        #expect(blockChecksum(loan.bytes) == loan.checksum)
        slot.memory.copyMemory(from: loan.bytes)
        slot.release()
        loan.release()
        receiver.commit(index: slot.index, checksum: loan.checksum)
      case .end(let end): return losesEnd ? .cut : .ended(end)
      }
    }
    Issue.record("the prefill ended without an end")
    return .cut
  }

  func run(_ request: EngineRequest) async throws -> Outcome {
    let receiver = try decode.receive(request)
    let held = try await receiver.reserve()
    var transfers = self
    var result = try await transfers.transfer(request, held: held, into: receiver)
    if case .cut = result, cutAfter != nil {
      // The next candidate carries on where the first one stopped.
      transfers.cutAfter = nil
      let held = await receiver.heldBlocks
      result = try await transfers.transfer(request, held: held, into: receiver)
    }
    let generation =
      switch result {
      case .ended(let end): receiver.complete(end)
      case .cut: receiver.computeHere()
      }
    return try await collect(generation, samples: request.sampling.n)
  }
}

@Suite struct HandoffTests {
  private func check(_ handoff: Handoff, _ request: EngineRequest, _ setup: Setup) async throws -> Outcome {
    let outcome = try await handoff.run(request)
    let limit = request.sampling.maxTokens ?? 0
    for sample in 0..<request.sampling.n {
      let carried = request.generated.isEmpty ? 0 : request.generated[sample].count
      #expect(
        outcome.tokens[sample] == (try setup.reference(request, sample: sample, count: limit - carried)),
        "sample \(sample)")
      #expect(outcome.finishes[sample] == .length)
    }
    return outcome
  }

  private func finish(_ handoff: Handoff) async throws {
    for engine in [handoff.prefill, handoff.decode] {
      await engine.drain()
      try await expectClean(engine)
      #expect(engine.statistics.pinnedBlocks == 0)
      await engine.stop()
    }
  }

  @Test(arguments: [1, 15, 16, 17, 32, 47, 160, 333], [1, 3]) func sameTokensAcrossTwoEngines(length: Int, n: Int)
    async throws
  {
    var setup = Setup()
    setup.configuration.handoffChunkSize = 48
    let handoff = Handoff(prefill: try setup.engine(), decode: try setup.engine())
    let sampling = SamplingParameters(temperature: 0.8, presencePenalty: 0.3, seed: 6, maxTokens: 25, n: n)
    let request = EngineRequest(prompt: prompt(length), sampling: sampling)
    let first = try await check(handoff, request, setup)
    #expect(first.summary?.computedTokens == 0)
    #expect(handoff.decode.statistics.blocksReceived == UInt64((length + 15) / 16))
    // Again: both have the prompt's full blocks now.
    let second = try await check(handoff, request, setup)
    #expect(second.summary?.cachedTokens == length / 16 * 16)
    try await finish(handoff)
  }

  @Test(arguments: [true, false], [true, false]) func withoutPrefixCaches(prefill: Bool, decode: Bool) async throws {
    var (first, second) = (Setup(), Setup())
    first.configuration.enablePrefixCaching = prefill
    second.configuration.enablePrefixCaching = decode
    let handoff = Handoff(prefill: try first.engine(), decode: try second.engine())
    for length in [100, 128, 100] {
      _ = try await check(handoff, EngineRequest(prompt: prompt(length), sampling: greedy(20)), first)
    }
    try await finish(handoff)
  }

  @Test(arguments: [0, 1, 5, 6]) func theNextCandidateCarriesOn(cut: Int) async throws {
    let setup = Setup()
    var handoff = Handoff(prefill: try setup.engine(), decode: try setup.engine())
    handoff.cutAfter = cut
    for n in [1, 2] {
      let sampling = SamplingParameters(temperature: 0.8, seed: 6, maxTokens: 25, n: n)
      _ = try await check(handoff, EngineRequest(prompt: prompt(100, seed: n), sampling: sampling), setup)
    }
    #expect(handoff.decode.statistics.computedPromptTokens == 0)
    try await finish(handoff)
  }

  @Test func aLostEndIsMadeUpForHere() async throws {
    let setup = Setup()
    var handoff = Handoff(prefill: try setup.engine(), decode: try setup.engine())
    handoff.losesEnd = true
    let outcome = try await check(handoff, EngineRequest(prompt: prompt(100), sampling: greedy(30)), setup)
    // The full blocks were kept.
    #expect(outcome.summary?.computedTokens == 4)
    try await finish(handoff)
  }

  @Test func computesHereAtAnyTime() async throws {
    let setup = Setup()
    let engine = try setup.engine()
    let request = EngineRequest(prompt: prompt(90), sampling: greedy(20))
    let expected = try setup.reference(request, count: 20)
    for stage in 0..<4 {
      var copy = request
      copy.cacheSalt = "\(stage)"
      let receiver = try engine.receive(copy)
      if stage >= 1 { #expect(try await receiver.reserve() == 0) }
      var slots: [BlockSlot] = []
      if stage >= 2 { slots = try await receiver.bind() }
      let outcome = try await collect(
        stage == 3 ? receiver.complete(PrefillEnd(firstTokens: [])) : receiver.computeHere())
      #expect(outcome.tokens[0] == expected)
      // Late writes to slots that were given up hurt nobody.
      for slot in slots { memset(slot.memory, 0xAB) }
      slots.removeAll()
      #expect(try await collect(engine.generate(copy)).tokens[0] == expected)
    }
    await engine.drain()
    try await expectClean(engine)
    await engine.stop()
  }

  @Test func movedRequestsAreHandedOff() async throws {
    let setup = Setup()
    let sampling = SamplingParameters(temperature: 0.9, repetitionPenalty: 1.2, seed: 8, maxTokens: 60)
    for (n, carried) in [(1, [17]), (3, [5, 0, 31]), (2, [0, 0])] {
      var request = EngineRequest(prompt: prompt(45), sampling: sampling)
      request.sampling.n = n
      request.generated = try (0..<n).map {
        Array(try setup.reference(request, sample: $0, count: 60).prefix(carried[$0]))
      }
      let handoff = Handoff(prefill: try setup.engine(), decode: try setup.engine())
      let outcome = try await handoff.run(request)
      var original = request
      original.generated = []
      for sample in 0..<n {
        let full = try setup.reference(original, sample: sample, count: 60)
        #expect(outcome.tokens[sample] == Array(full.dropFirst(carried[sample])), "n \(n), sample \(sample)")
      }
      try await finish(handoff)
    }
  }

  @Test func aFirstTokenMayEndTheSample() async throws {
    let setup = Setup()
    let handoff = Handoff(prefill: try setup.engine(), decode: try setup.engine())
    _ = try await check(handoff, EngineRequest(prompt: prompt(40), sampling: greedy(1)), setup)
    _ = try await check(handoff, EngineRequest(prompt: prompt(41), sampling: greedy(1, n: 2)), setup)
    try await finish(handoff)
  }

  /// Hand-offs of one cold prefix come one after the other: the first brings the blocks, the others find them.
  @Test func singleFlightAcrossReceives() async throws {
    let setup = Setup()
    let handoff = Handoff(prefill: try setup.engine(), decode: try setup.engine())
    let system = prompt(160, seed: 5)
    try await withThrowingTaskGroup(of: Void.self) { group in
      for index in 0..<8 {
        let request = EngineRequest(prompt: system + prompt(5, seed: index), sampling: greedy(10))
        group.addTask { _ = try await check(handoff, request, setup) }
      }
      try await group.waitForAll()
    }
    // The shared ten blocks once, and each request's tail.
    #expect(handoff.decode.statistics.blocksReceived == 10 + 8)
    try await finish(handoff)
  }

  @Test func aLocalRequestTakesOverFromADeadReceiver() async throws {
    let setup = Setup()
    let engine = try setup.engine()
    let request = EngineRequest(prompt: prompt(100), sampling: greedy(10))
    let receiver = try engine.receive(request)
    #expect(try await receiver.reserve() == 0)
    let local = try engine.generate(request)
    let slots = try await receiver.bind()
    #expect(slots.count == 7)
    receiver.cancel()
    #expect(try await collect(local).tokens[0] == (try setup.reference(request, count: 10)))
    await expectError(.cancelled) { try await receiver.bind() }
    // The dead receiver's blocks stay pinned for as long as somebody could write to them.
    #expect(engine.statistics.pinnedBlocks == 7)
    for slot in slots { slot.release() }
    await engine.drain()
    try await expectClean(engine)
    await engine.stop()
  }

  /// A request that waits for its hand-off holds what the cache had of it. The only one that runs needs those blocks.
  @Test(.timeLimit(.minutes(5))) func aWaitingReceiverGivesWay() async throws {
    var setup = Setup()
    setup.blocks = 8
    let engine = try setup.engine()
    let request = EngineRequest(prompt: prompt(40, seed: 9), sampling: greedy(10))
    _ = try await collect(engine.generate(EngineRequest(prompt: request.prompt, sampling: greedy(1))))
    let receiver = try engine.receive(request)
    #expect(try await receiver.reserve() == 2)
    // All eight blocks in the end.
    let large = EngineRequest(prompt: prompt(60), sampling: greedy(60))
    #expect(try await collect(engine.generate(large)).tokens[0] == (try setup.reference(large, count: 60)))
    await expectError(.aborted) { try await receiver.bind() }
    #expect(try await collect(receiver.computeHere()).tokens[0] == (try setup.reference(request, count: 10)))
    await engine.drain()
    try await expectClean(engine)
    await engine.stop()
  }

  @Test func lendsWhatIsResident() async throws {
    let setup = Setup()
    let engine = try setup.engine()
    let request = EngineRequest(prompt: prompt(100), sampling: greedy(1))
    _ = try await collect(engine.generate(request))
    let hashes = BlockHash.chain(tokens: request.prompt + prompt(60, seed: 2), blockSize: 16, salt: "")
    let loans = await engine.lend(hashes)
    #expect(loans.map(\.index) == Array(0..<6))
    #expect(loans.map(\.hash) == hashes.prefix(6).map { $0 })
    #expect(loans.dropFirst().map(\.parentHash) == hashes.prefix(5).map { $0 })
    #expect(loans.allSatisfy { blockChecksum($0.bytes) == $0.checksum })
    try await engine.checkIntegrity()
    #expect(engine.statistics.activeBlocks == 6)
    for loan in loans {
      loan.release()
      loan.release()
    }
    await engine.drain()
    try await expectClean(engine)
    await engine.stop()
  }

  /// Borrowed blocks are not reused, however short blocks are.
  @Test func loansKeepTheirBytes() async throws {
    var setup = Setup()
    setup.blocks = 16
    let engine = try setup.engine()
    let lender = try engine.prefill(EngineRequest(prompt: prompt(100), sampling: greedy(1)), heldBlocks: 0)
    var loans: [BlockLoan] = []
    for try await event in lender.events { if case .block(let loan) = event { loans.append(loan) } }
    #expect(loans.count == 7)
    for seed in 0..<10 {
      let request = EngineRequest(prompt: prompt(90, seed: seed + 5), sampling: greedy(40))
      #expect(try await collect(engine.generate(request)).tokens[0] == (try setup.reference(request, count: 40)))
    }
    #expect(loans.allSatisfy { blockChecksum($0.bytes) == $0.checksum })
    // What needs more than the rest waits until they come back.
    let large = EngineRequest(prompt: prompt(200, seed: 99), sampling: greedy(5))
    let waiting = try engine.generate(large)
    loans.removeAll()
    #expect(try await collect(waiting).tokens[0] == (try setup.reference(large, count: 5)))
    await engine.drain()
    try await expectClean(engine)
    await engine.stop()
  }

  @Test func prefillsUnderPressureLendEachBlockOnce() async throws {
    var setup = Setup()
    setup.blocks = 30
    setup.configuration.maxQueueWait = .seconds(600)
    setup.configuration.handoffChunkSize = 32
    let engine = try setup.engine()
    let checked = setup
    try await withThrowingTaskGroup(of: Void.self) { group in
      for seed in 0..<10 {
        let request = EngineRequest(prompt: prompt(150 + seed * 7, seed: seed), sampling: greedy(4))
        let lender = try engine.prefill(request, heldBlocks: seed % 3)
        group.addTask {
          var (next, count) = (seed % 3, -1)
          for try await event in lender.events {
            switch event {
            case .queued: #expect(count == -1)
            case .started(let blocks, _): count = blocks
            case .block(let loan):
              #expect(loan.index == next)
              next += 1
              loan.release()
            case .end(let end):
              #expect(end.firstTokens.map(\.token.id) == (try checked.reference(request, count: 1)))
            }
          }
          #expect(next == seed % 3 + count)
        }
      }
      try await group.waitForAll()
    }
    await engine.drain()
    try await expectClean(engine)
    await engine.stop()
  }
}

private func memset(_ memory: UnsafeMutableRawBufferPointer, _ value: UInt8) {
  for index in memory.indices { memory[index] = value }
}
