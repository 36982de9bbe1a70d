import Engine
import LoadHarness
import ServingTestKit
import ServingTypes
import Testing

/// What `baton bench paged` compares gives the same tokens.
@Suite struct ReservedContextTests {
  private let trace = Trace(
    TraceRecipe(
      seed: 3, count: 40, prompt: LengthDistribution(median: 30, spread: 1, most: 150),
      output: LengthDistribution(median: 40, spread: 1, most: 150), longestContext: 256))

  private func run(_ change: (inout EngineConfiguration) -> Void) async throws -> LoadResult {
    var configuration = EngineConfiguration(
      enablePrefixCaching: false, maxModelLen: 256, enableSpecDecode: false, checkIntegrityOnIdle: true)
    change(&configuration)
    let engine = try EngineCore(
      executor: SimulatedExecutor(blockCount: 4 * 16, blockSize: 16, vocabularySize: 64, maximumContextLength: 2048),
      configuration: configuration)
    engine.start()
    let result = try await LoadDriver(engine: engine, trace: trace).run(.allAtOnce)
    try await engine.checkIntegrity()
    #expect(engine.statistics.activeBlocks == 0)
    await engine.stop()
    return result
  }

  @Test func reservingAndPagingGiveTheSameTokens() async throws {
    let reserved = try await run { $0.reservesLongestContext = true }
    let paged = try await run { _ in }
    let cached = try await run { $0.enablePrefixCaching = true }
    let swapped = try await run {
      $0.enablePrefixCaching = true
      $0.swapSpace = 1 << 20
    }
    for other in [paged, cached, swapped] { #expect(other.requests.map(\.tokens) == reserved.requests.map(\.tokens)) }
    #expect(reserved.mostRunning <= 4 && reserved.preemptions == 0)
    #expect(paged.mostRunning > reserved.mostRunning)
  }

  @Test func reservedContextsExcludeWhatSharesBlocks() async throws {
    for change: (inout EngineConfiguration) -> Void in [
      { $0.enablePrefixCaching = true }, { $0.swapSpace = 1 << 20 }, { $0.offloadDir = "." },
    ] {
      var configuration = EngineConfiguration(enablePrefixCaching: false, reservesLongestContext: true)
      try configuration.validate()
      change(&configuration)
      #expect(throws: ServingError.self) { try configuration.validate() }
    }
    let engine = try EngineCore(
      executor: SimulatedExecutor(blockCount: 64, blockSize: 16, vocabularySize: 64, maximumContextLength: 2048),
      configuration: EngineConfiguration(enablePrefixCaching: false, reservesLongestContext: true))
    #expect(throws: ServingError.self) {
      try engine.generate(EngineRequest(prompt: [1], sampling: SamplingParameters(maxTokens: 1, n: 2)))
    }
    #expect(throws: ServingError.self) { try engine.receive(EngineRequest(prompt: [1])) }
    await engine.stop()
  }
}
