import Engine
import Foundation
import Logging
import ServingTypes

/// Measures an engine of its own: prompts of random tokens, no reuse, no speculation, so that nothing is saved.
struct Benchmark {
  let model: ModelSettings
  let engine: EngineSettings
  let plan: BenchmarkPlan
  let logger: Logger

  func run() async throws -> [Measurement] {
    let loaded = try LoadedModel(model, threads: engine.threads)
    var settings = engine
    settings.engine.enablePrefixCaching = false
    settings.engine.enableSpecDecode = false
    settings.engine.targetStepTime = .zero
    let core = try loaded.makeEngine(settings, logger: logger)
    core.start()
    var results = [Measurement("load", unit: "s", values: [loaded.loadSeconds])]
    do {
      try plan.checkDecode(context: core.maximumContextLength)
      results += try await measure(core)
      await core.stop()
    } catch {
      await core.stop()
      throw error
    }
    if plan.works.contains(.handoff), core.maximumContextLength > 1000 {
      let handoff = HandoffBenchmark(loaded: loaded, settings: settings, runs: plan.runs, logger: logger)
      results += try await handoff.run(length: 1000)
      let fetch = FetchBenchmark(loaded: loaded, settings: settings, runs: plan.runs, logger: logger)
      results += try await fetch.run(length: 1000)
    }
    if let peak = PeakMemory.bytes() {
      results.append(Measurement("peak memory", unit: "MiB", values: [Double(peak) / 1_048_576]))
    }
    return results
  }

  private func measure(_ core: EngineCore) async throws -> [Measurement] {
    var results: [Measurement] = []
    let lengths = try plan.prefillLengths(context: core.maximumContextLength)
    // Brings weights and scratch into memory, which is not what the first row shall count.
    _ = try await generate(core, prompt: min(512, core.maximumContextLength - 4), tokens: 4, seed: -1)
    for length in lengths {
      var rates: [Double] = []
      for run in 0..<plan.runs {
        let summary = try await generate(core, prompt: length, tokens: 1, seed: run).summary
        rates.append(Double(length) / summary.prefillSeconds)
      }
      results.append(Measurement("prefill \(length)", unit: "tokens/s", values: rates))
    }
    guard plan.works.contains(.decode) else { return results }
    let rows =
      plan.batch.map { (name: "decode, batch \($0)", batch: $0, prompt: plan.prompt) }
      + plan.depth.map { (name: "decode at \($0)", batch: 1, prompt: $0) }
    for row in rows {
      var rates: [Double] = []
      for run in 0..<plan.runs {
        rates.append(try await decode(core, batch: row.batch, prompt: row.prompt, seed: run))
      }
      results.append(Measurement(row.name, unit: "tokens/s", values: rates))
    }
    return results
  }

  /// Tokens a second of all sequences together, from the moment when the last has begun until the first ends.
  private func decode(_ core: EngineCore, batch: Int, prompt: Int, seed: Int) async throws -> Double {
    try await withThrowingTaskGroup(of: [ContinuousClock.Instant].self) { group in
      for index in 0..<batch {
        group.addTask {
          try await generate(core, prompt: prompt, tokens: plan.generate, seed: seed * 1000 + index).arrivals
        }
      }
      var arrivals: [[ContinuousClock.Instant]] = []
      for try await each in group { arrivals.append(each) }
      guard let start = arrivals.compactMap(\.first).max(), let end = arrivals.compactMap(\.last).min(), end > start
      else {
        throw ServingError(
          .failedPrecondition,
          "the \(batch) sequences were not decoded together: one ended before another began; raise --generate,"
            + " max_num_seqs or num_blocks")
      }
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
      case .promptLogprobs: break
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
