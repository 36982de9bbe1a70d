import Engine
import LoadHarness
import ServingTestKit
import ServingTypes
import Testing

@Suite struct LongPromptLoadTests {
  private func engine(context: Int) throws -> EngineCore {
    let engine = try EngineCore(
      executor: SimulatedExecutor(
        blockCount: 1024, blockSize: 16, vocabularySize: 64, maximumContextLength: context,
        cost: .init(step: .milliseconds(1))),
      configuration: EngineConfiguration(enableSpecDecode: false, checkIntegrityOnIdle: true))
    engine.start()
    return engine
  }

  @Test func gapsAreSortedByWhetherThePromptWasThere() async throws {
    let engine = try engine(context: 1_000_000)
    let load = LongPromptLoad(
      engine: engine, streams: 3, promptLength: 6_000, streamPromptLength: 20, quiet: .milliseconds(50))
    let result = try await load.run(seed: 1)
    #expect(result.promptLength == 6_000 && result.aloneSeconds > 0 && result.loadedSeconds > 0)
    #expect(!result.loadedGaps.isEmpty && result.quietGaps.count == result.loadedGaps.count)
    try await engine.checkIntegrity()
    await engine.stop()
  }

  /// A stream that ended while the prompt was read would make the gaps look better than they are.
  @Test func streamsThatEndEarlyAreAFailure() async throws {
    let engine = try engine(context: 700)
    await #expect(throws: ServingError.self) {
      try await LongPromptLoad(
        engine: engine, streams: 2, promptLength: 690, streamPromptLength: 680, quiet: .milliseconds(100)
      ).run(seed: 1)
    }
    await #expect(throws: ServingError.self) {
      try await LongPromptLoad(engine: engine, streams: 1, promptLength: 700).run(seed: 1)
    }
    await engine.stop()
  }

  /// While a stream's own prompt is read, nobody has the gaps that the long prompt's are held against.
  @Test func thePromptComesOnceEveryStreamRuns() async throws {
    let engine = try engine(context: 1_000_000)
    let load = LongPromptLoad(
      engine: engine, streams: 4, promptLength: 400, streamPromptLength: 3_000, quiet: .zero)
    let result = try await load.run(seed: 1)
    #expect(result.quietGaps.count == result.loadedGaps.count)
    try await engine.checkIntegrity()
    await engine.stop()
  }

  @Test func figuresCompareWithTheMedianWithout() {
    let result = LongPromptResult(
      promptLength: 100, aloneSeconds: 3, loadedSeconds: 4, quietGaps: [1, 2, 3], loadedGaps: [4, 4, 8])
    #expect(result.keptRate == 0.75)
    #expect(result.stretch > 3.9 && result.stretch <= 4)
  }
}
