import Engine
import ModelRuntime
import ServingTypes

// Engines with real attention, and what they must say.
extension ModelWeights {
  func executor(blocks: Int = 64, dtype: KVDType = .f16) throws -> CPUModelExecutor {
    try CPUModelExecutor(weights: self, configuration: Self.pool(blocks, dtype))
  }

  private static func pool(_ blocks: Int, _ dtype: KVDType) -> CPUModelExecutor.Configuration {
    .init(blockCount: blocks, kvDType: dtype, threads: 2)
  }

  /// Started.
  func engine(
    blocks: Int = 64, dtype: KVDType = .f16, _ configuration: EngineConfiguration
  ) throws -> EngineCore {
    let engine = try EngineCore(
      executor: CPUModelExecutor(weights: self, configuration: Self.pool(blocks, dtype)), configuration: configuration)
    engine.start()
    return engine
  }

  /// A request's tokens, computed one at a time over a pool of its own.
  func reference(_ request: EngineRequest, dtype: KVDType = .f16, sample: Int = 0) throws -> [TokenID] {
    try decodePlainly(request, on: executor(dtype: dtype), sample: sample, count: request.sampling.maxTokens ?? 0)
  }
}
