import Engine
import LoadHarness
import ServingTestKit
import ServingTypes
import Testing

@Suite struct ConversationLoadTests {
  private var load: ConversationLoad {
    var load = ConversationLoad()
    (load.conversations, load.clients, load.turns) = (6, 2, 3)
    (load.firstPromptLength, load.promptLength, load.outputLength) = (48, 10, 6)
    return load
  }

  private func run(blocks: Int, swap: Int) async throws -> (tokens: [[TokenID]], statistics: EngineStatistics) {
    let engine = try EngineCore(
      executor: SimulatedExecutor(blockCount: blocks, blockSize: 16, vocabularySize: 64, maximumContextLength: 2048),
      configuration: EngineConfiguration(enableSpecDecode: false, checkIntegrityOnIdle: true, swapSpace: swap))
    engine.start()
    let (requests, seconds) = try await load.run(engine)
    #expect(seconds > 0)
    #expect(requests.map(\.request) == load.trace.requests)
    for (earlier, later) in zip(requests, requests.dropFirst(load.conversations)) {
      #expect(later.prompt.starts(with: earlier.prompt + earlier.tokens))
    }
    try await engine.checkIntegrity()
    await engine.stop()
    return (requests.map(\.tokens), engine.statistics)
  }

  /// In a pool of a quarter of what they need, conversations come back from host memory, and the answers are the same.
  @Test func tiersBringConversationsBack() async throws {
    let working = load.workingSet(blockSize: 16)
    #expect(working == 6 * 6)
    let all = try await run(blocks: working + 4, swap: 0)
    let tiered = try await run(blocks: working / 2, swap: 1 << 24)
    let recomputed = try await run(blocks: working / 2, swap: 0)
    #expect(all.tokens == tiered.tokens && all.tokens == recomputed.tokens)
    #expect(tiered.statistics.tiers.hostHits > 0)
    #expect(recomputed.statistics.cachedPromptTokens < tiered.statistics.cachedPromptTokens)
  }
}
