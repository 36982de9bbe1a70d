import LoadHarness
import ModelRuntime
import ServingTypes

/// What a step costs that verifies drafts, beside one of a single token: forward pass and drawing, without an engine.
struct VerificationBenchmark {
  static let bar = 1.5
  private static let context = 256

  let loaded: LoadedModel
  let settings: EngineSettings
  /// Tokens of a verifying step.
  let tokens: Int
  let runs: Int

  /// - Returns: seconds of a step of one token and of `tokens`, medians of runs in turn.
  func run() throws -> (one: Double, several: Double) {
    let blockCount = (Self.context + tokens) / settings.blockSize + 1
    let executor = try CPUModelExecutor(
      weights: loaded.weights,
      configuration: .init(
        blockSize: settings.blockSize, blockCount: blockCount, kvDType: settings.kvDType, threads: settings.threads,
        arithmetic: settings.kernels, path: settings.kernelPath))
    let prompt = Benchmark.tokens(Self.context + tokens, seed: 5, vocabulary: executor.vocabularySize)
    var sampler = Sampler(vocabularySize: executor.vocabularySize, endOfGenerationTokens: [])
    var batch = ForwardBatch()
    let blocks = (0..<BlockID(blockCount)).map { $0 }
    batch.append(tokens: prompt[..<Self.context], startPosition: 0, blocks: blocks, logitCount: 0)
    _ = try executor.forward(batch)
    var seconds: (one: [Double], several: [Double]) = ([], [])
    let parameters = SamplingParameters(temperature: 0)
    let counts = TokenCounts(prompt: [], parameters: parameters)
    // The first runs find cold caches.
    for run in -3..<runs {
      for count in [1, tokens] {
        let start = ContinuousClock.now
        batch.removeAll()
        batch.append(
          tokens: prompt[Self.context..<Self.context + count], startPosition: Self.context, blocks: blocks,
          logitCount: count)
        let logits = try executor.forward(batch)
        for row in 0..<count {
          let size = executor.vocabularySize
          _ = try sampler.sample(
            logits: UnsafeBufferPointer(rebasing: logits[row * size..<(row + 1) * size]), parameters: parameters,
            sampleIndex: 0, position: Self.context + row, context: counts)
        }
        let taken = (ContinuousClock.now - start) / .seconds(1)
        guard run >= 0 else { continue }
        if count == 1 { seconds.one.append(taken) } else { seconds.several.append(taken) }
      }
    }
    return (seconds.one.median, seconds.several.median)
  }

  func measuredBar() throws -> Bar {
    let (one, several) = try run()
    return Bar(
      work: "speculation, \(loaded.settings.servedName)", figure: "a step of \(tokens) tokens beside one of one",
      ours: several * 1000, baseline: one * 1000, .atMost, bar: Self.bar, unit: "ms")
  }
}
