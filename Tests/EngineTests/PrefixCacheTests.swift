import Engine
import ServingTestKit
import ServingTypes
import Testing

@Suite struct EnginePrefixCacheTests {
  @Test(arguments: [31, 32, 33, 48, 100]) func aRepeatedPromptIsComputedOnce(length: Int) async throws {
    let setup = Setup()
    let engine = try setup.engine()
    let request = EngineRequest(prompt: prompt(length), sampling: greedy(20))
    let expected = try setup.reference(request, count: 20)
    for round in 0..<3 {
      let outcome = try await collect(engine.generate(request))
      #expect(outcome.tokens[0] == expected)
      // A wholly cached prompt still needs its last token's logits.
      let cached = length % 16 == 0 ? length - 1 : length / 16 * 16
      #expect(outcome.summary?.cachedTokens == (round == 0 ? 0 : cached))
      #expect(outcome.summary?.computedTokens == (round == 0 ? length : length - cached))
    }
    try await expectClean(engine)
    await engine.stop()
  }

  /// Off: nothing is kept, in the pool or below it, and nothing announced.
  @Test func withoutPrefixCachingItIsComputedAgain() async throws {
    var setup = Setup()
    setup.configuration.enablePrefixCaching = false
    setup.configuration.swapSpace = 100 * (256 + 64)
    setup.record = SimulatedExecutor.Record()
    let engine = try setup.engine()
    let request = EngineRequest(prompt: prompt(100), sampling: greedy(1))
    for round in 1...3 {
      let outcome = try await collect(engine.generate(request))
      #expect(outcome.tokens[0] == (try setup.reference(request, count: 1)))
      #expect(outcome.summary?.cachedTokens == 0 && outcome.summary?.computedTokens == 100)
      #expect(setup.record.counts.tokens == round * 100)
    }
    #expect(engine.statistics.cachedBlocks == 0 && engine.statistics.tiers.hostCapacity == 0)
    #expect(await engine.cacheChanges() == CacheChanges())
    try await expectClean(engine)
    await engine.stop()
  }

  @Test func anAnswerIsReusedAsTheNextPrompt() async throws {
    let setup = Setup()
    let engine = try setup.engine()
    let first = EngineRequest(prompt: prompt(40), sampling: greedy(60))
    let answer = try await collect(engine.generate(first)).tokens[0]
    let second = EngineRequest(prompt: first.prompt + answer + prompt(10, seed: 3), sampling: greedy(10))
    let outcome = try await collect(engine.generate(second))
    #expect(outcome.tokens[0] == (try setup.reference(second, count: 10)))
    // 99 tokens of the first request were computed, so six blocks are full.
    #expect(outcome.summary?.cachedTokens == 96)
    await engine.stop()
  }

  @Test func anotherSaltFindsNothing() async throws {
    let setup = Setup()
    let engine = try setup.engine()
    var request = EngineRequest(prompt: prompt(64), sampling: greedy(5), cacheSalt: "a")
    _ = try await collect(engine.generate(request))
    request.cacheSalt = "b"
    #expect(try await collect(engine.generate(request)).summary?.cachedTokens == 0)
    request.cacheSalt = "a"
    #expect(try await collect(engine.generate(request)).summary?.cachedTokens == 63)
    await engine.stop()
  }

  /// Eight cold clients with one system prompt compute it once.
  @Test(arguments: [64, 200]) func singleFlight(chunk: Int) async throws {
    var setup = Setup()
    setup.configuration.prefillChunkSize = chunk
    let record = SimulatedExecutor.Record()
    setup.record = record
    let engine = try setup.engine(start: false)
    let system = prompt(160, seed: 77)
    let requests = (0..<8).map { EngineRequest(prompt: system + prompt(10, seed: $0 + 1), sampling: greedy(1)) }
    let handles = try requests.map { try engine.generate($0) }
    engine.start()
    for (request, handle) in zip(requests, handles) {
      #expect(try await collect(handle).tokens[0] == (try setup.reference(request, count: 1)))
    }
    #expect(record.counts.tokens == 160 + 8 * 10)
    #expect(engine.statistics.singleFlightWaits == 7)
    try await expectClean(engine)
    await engine.stop()
  }

  /// Whoever waits takes over when the one that computes goes away.
  @Test func theOwnersDeathPassesTheWorkOn() async throws {
    var setup = Setup()
    setup.configuration.prefillChunkSize = 16
    setup.cost = SimulatedExecutor.Cost(step: .milliseconds(2))
    let engine = try setup.engine()
    let system = prompt(800, seed: 77)
    for round in 0..<5 {
      let salt = "\(round)"
      let owner = try engine.generate(EngineRequest(prompt: system, sampling: greedy(1200), cacheSalt: salt))
      let heirs = try (0..<3).map {
        try engine.generate(
          EngineRequest(prompt: system + prompt(5, seed: $0), sampling: greedy(3), cacheSalt: salt))
      }
      // The owner is at work by now, and dies before it can be done.
      for _ in 0..<round { await Task.yield() }
      owner.cancel()
      await expectError(.cancelled) { try await collect(owner) }
      for (index, heir) in heirs.enumerated() {
        let request = EngineRequest(prompt: system + prompt(5, seed: index), sampling: greedy(3))
        #expect(try await collect(heir).tokens[0] == (try setup.reference(request, count: 3)))
      }
    }
    try await expectClean(engine)
    await engine.stop()
  }

  @Test func changesTellWhatIsResident() async throws {
    var setup = Setup()
    setup.blocks = 20
    let engine = try setup.engine()
    var resident: Set<CachedBlock> = []
    for seed in 0..<12 {
      let request = EngineRequest(prompt: prompt(30 + seed * 10, seed: seed), sampling: greedy(20))
      _ = try await collect(engine.generate(request))
      let changes = await engine.cacheChanges()
      #expect(!changes.isResync)
      #expect(changes.removed.map(\.depth) == changes.removed.map(\.depth).sorted(by: >))
      #expect(resident.isSuperset(of: changes.removed))
      resident.subtract(changes.removed)
      #expect(resident.isDisjoint(with: changes.added))
      resident.formUnion(changes.added)
      #expect(resident.count == engine.statistics.cachedBlocks)
      // No block without the one that it continues.
      for block in resident where block.depth > 0 {
        #expect(resident.contains { $0.chain == block.chain && $0.depth == block.depth - 1 })
      }
      let hashes = BlockHash.chain(tokens: request.prompt, blockSize: 16, salt: "")
      #expect(hashes.allSatisfy { hash in resident.contains { $0.hash == hash } })
    }
    #expect(engine.statistics.evictions > 0)
    await engine.stop()
  }

  @Test func anOverflowedLogGivesEverything() async throws {
    var setup = Setup()
    setup.configuration.cacheLogLimit = 4
    let engine = try setup.engine()
    let request = EngineRequest(prompt: prompt(100), sampling: greedy(1))
    _ = try await collect(engine.generate(request))
    let changes = await engine.cacheChanges()
    #expect(changes.isResync)
    #expect(changes.added.map(\.hash) == BlockHash.chain(tokens: request.prompt, blockSize: 16, salt: ""))
    #expect(await engine.cacheChanges() == CacheChanges())
    await engine.stop()
  }
}
