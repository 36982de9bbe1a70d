import Engine
import Foundation
import ModelRuntime
import ServingTestKit
import ServingTypes
import Testing

/// Invariant 1 with real attention over blocks that went down and came up again.
@Suite struct TinyModelTierTests {
  /// Every answer of conversations that take turns.
  private static func converse(_ engine: EngineCore) async throws -> [[TokenID]] {
    var said = (0..<4).map { TinyModel.prompt(90, seed: UInt64($0)) }
    var answers: [[TokenID]] = []
    for turn in 0..<3 {
      // All at once, so that they preempt each other in a small pool.
      let requests = said.indices.map { index in
        EngineRequest(
          prompt: said[index] + TinyModel.prompt(7, seed: UInt64(turn * 10 + index)),
          sampling: SamplingParameters(
            temperature: index == 1 ? 0.9 : 0, seed: 5, maxTokens: 30, ignoreEOS: true))
      }
      let handles = try requests.map { try engine.generate($0) }
      for (index, handle) in handles.enumerated() {
        let answer = try await collect(handle).tokens[0]
        answers.append(answer)
        said[index] = requests[index].prompt + answer
      }
    }
    try await expectClean(engine)
    return answers
  }

  @Test(arguments: [ModelArchitecture.llama, .gemma3], KVDType.allCases) func sameTokensWithAndWithoutTiers(
    architecture: ModelArchitecture, dtype: KVDType
  ) async throws {
    let weights = try ModelWeights(file: TinyModel(architecture).file(), threads: 2)
    var configuration = EngineConfiguration(
      prefillChunkSize: 48, targetStepTime: .zero, adaptsDraftLength: false, checkIntegrityOnIdle: true)
    let plain = try weights.engine(blocks: 400, dtype: dtype, configuration)
    let expected = try await Self.converse(plain)
    await plain.stop()
    let layout = plain.layout
    let folder = FileManager.default.temporaryDirectory.appending(path: "baton-tiers-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: folder) }
    for (hostBlocks, hasFile) in [(400, false), (0, true), (10, true)] {
      configuration.swapSpace = hostBlocks * (layout.blockBytes() + 64)
      configuration.offloadDir = hasFile ? folder.path : nil
      configuration.offloadThreshold = 0.2
      let tiered = try weights.engine(blocks: 16, dtype: dtype, configuration)
      #expect(try await Self.converse(tiered) == expected, "\(hostBlocks) host blocks, file: \(hasFile)")
      let tiers = tiered.statistics.tiers
      #expect(tiers.hostStores + tiers.fileStores > 0)
      if hostBlocks == 400 { #expect(tiers.hostHits > 0) }
      #expect(tiers.failures(.corrupt) == 0)
      await tiered.stop()
    }
  }
}
