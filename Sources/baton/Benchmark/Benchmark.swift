import Engine
import Foundation
import Logging
import ServingTypes

/// Measures an engine of its own: prompts of random tokens, no reuse, no speculation, so that nothing is saved.
struct Benchmark {
  let model: ModelSettings
  let engine: EngineSettings
  let runs: Int
  let logger: Logger

  func run() async throws -> [Measurement] {
    let loaded = try LoadedModel(model, threads: engine.threads)
    var settings = engine
    settings.engine.enablePrefixCaching = false
    settings.engine.enableSpecDecode = false
    settings.engine.targetStepTime = .zero
    let core = try loaded.makeEngine(settings, logger: logger)
    core.start()
    do {
      let results = try await measure(core)
      await core.stop()
      let handoff = HandoffBenchmark(loaded: loaded, settings: settings, runs: runs, logger: logger)
      return results + (core.maximumContextLength > 1000 ? try await handoff.run(length: 1000) : [])
    } catch {
      await core.stop()
      throw error
    }
  }

  private func measure(_ core: EngineCore) async throws -> [Measurement] {
    var results: [Measurement] = []
    for length in [512, 2048] where length < core.maximumContextLength {
      var rates: [Double] = []
      for run in 0..<runs {
        let summary = try await generate(core, prompt: length, tokens: 1, seed: run).summary
        rates.append(Double(length) / summary.prefillSeconds)
      }
      results.append(Measurement("prefill \(length)", unit: "tokens/s", values: rates))
    }
    for batch in [1, 8, 32] {
      var rates: [Double] = []
      for run in 0..<runs {
        rates.append(try await decode(core, batch: batch, tokens: 64, seed: run))
      }
      results.append(Measurement("decode, batch \(batch)", unit: "tokens/s", values: rates))
    }
    return results
  }

  /// Tokens a second of all sequences together, from the moment when the last of them has begun.
  private func decode(_ core: EngineCore, batch: Int, tokens: Int, seed: Int) async throws -> Double {
    try await withThrowingTaskGroup(of: [ContinuousClock.Instant].self) { group in
      for index in 0..<batch {
        group.addTask {
          try await generate(core, prompt: 32, tokens: tokens, seed: seed * 1000 + index).arrivals
        }
      }
      var arrivals: [[ContinuousClock.Instant]] = []
      for try await each in group { arrivals.append(each) }
      guard let start = arrivals.compactMap(\.first).max(), let end = arrivals.compactMap(\.last).min(), end > start
      else { return 0 }
      let counted = arrivals.reduce(0) { sum, each in sum + each.count { $0 > start && $0 <= end } }
      return Double(counted) / ((end - start) / .seconds(1))
    }
  }

  private func generate(
    _ core: EngineCore, prompt: Int, tokens: Int, seed: Int
  ) async throws -> (arrivals: [ContinuousClock.Instant], summary: GenerationSummary) {
    var request = EngineRequest(
      id: .random(), prompt: Self.tokens(prompt, seed: seed, vocabulary: core.vocabularySize),
      sampling: SamplingParameters(temperature: 0, maxTokens: tokens, ignoreEOS: true))
    request.sampling.speculative = false
    let handle = try core.generate(request)
    var arrivals: [ContinuousClock.Instant] = []
    for try await event in handle.events {
      switch event {
      case .tokens(_, let tokens, _):
        arrivals += [ContinuousClock.Instant](repeating: .now, count: tokens.count)
      case .finished(let summary): return (arrivals, summary)
      }
    }
    throw ServingError(.internalError, "the engine ended a request without a summary")
  }

  /// Tokens spread over the vocabulary, the same for the same seed.
  static func tokens(_ count: Int, seed: Int, vocabulary: Int) -> [TokenID] {
    var state = UInt64(truncatingIfNeeded: seed) &* 0x9E37_79B9_7F4A_7C15 | 1
    return (0..<count).map { _ in
      state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      return TokenID((state >> 33) % UInt64(vocabulary))
    }
  }
}
