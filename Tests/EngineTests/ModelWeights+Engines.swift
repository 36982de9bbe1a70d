import Engine
import ModelRuntime
import ServingTypes

// Engines with real attention, and what they must say.
extension ModelWeights {
  func executor(blocks: Int = 64, dtype: KVDType = .f16) throws -> CPUModelExecutor {
    try CPUModelExecutor(weights: self, configuration: .init(blockCount: blocks, kvDType: dtype, threads: 2))
  }

  /// Started.
  func engine(
    blocks: Int = 64, dtype: KVDType = .f16, _ configuration: EngineConfiguration
  ) throws -> EngineCore {
    let engine = try EngineCore(
      executor: CPUModelExecutor(weights: self, configuration: .init(blockCount: blocks, kvDType: dtype, threads: 2)),
      configuration: configuration)
    engine.start()
    return engine
  }

  /// A request's tokens, computed one at a time over a pool of its own.
  func reference(_ request: EngineRequest, dtype: KVDType = .f16, sample: Int = 0) throws -> [TokenID] {
    let executor = try executor(dtype: dtype)
    var sampler = Sampler(
      vocabularySize: executor.vocabularySize, endOfGenerationTokens: executor.endOfGenerationTokens)
    var counts = TokenCounts(prompt: request.prompt, parameters: request.sampling)
    var (tokens, computed) = (request.prompt, 0)
    for _ in 0..<(request.sampling.maxTokens ?? 0) {
      var batch = ForwardBatch()
      batch.append(
        tokens: tokens[computed...], startPosition: computed, blocks: (0..<64).map { BlockID($0) }, logitCount: 1)
      computed = tokens.count
      let token = try sampler.sample(
        logits: executor.forward(batch), parameters: request.sampling, sampleIndex: sample, position: tokens.count,
        context: counts)
      counts.append(token.id)
      tokens.append(token.id)
    }
    return Array(tokens[request.prompt.count...])
  }
}
