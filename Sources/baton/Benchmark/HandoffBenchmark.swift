import Logging
import ServingTypes

/// Measures the hand-off between a prefill and a decode worker of this process, over local sockets and with shared weights.
struct HandoffBenchmark {
  let loaded: LoadedModel
  let settings: EngineSettings
  let runs: Int
  let logger: Logger

  /// Prompts of `length` tokens, first computed while they are handed over, then handed over from the cache.
  func run(length: Int) async throws -> [Measurement] {
    try await BenchmarkWorkers.with(loaded, logger: logger) { workers in
      var sending = settings
      sending.engine.enablePrefixCaching = true
      sending.numBlocks = (runs + 2) * (length / settings.blockSize + 2)
      // What it received it forgets, so that each run hands everything over.
      var receiving = sending
      receiving.engine.enablePrefixCaching = false
      let prefill = try workers.worker(.prefill, named: "prefill", sending)
      let decode = try workers.worker(.decode, named: "decode", receiving)
      return try await BenchmarkWorkers.serve([prefill, decode]) {
        var computed: [Double] = []
        var after: [Double] = []
        var cached: [Double] = []
        var rates: [Double] = []
        for run in 0..<runs {
          let prompt = Benchmark.tokens(length, seed: run + 77, vocabulary: decode.engine.vocabularySize)
          let first = try await BenchmarkWorkers.ask(decode, prompt, prefill: prefill, over: workers.channels)
          let second = try await BenchmarkWorkers.ask(decode, prompt, prefill: prefill, over: workers.channels)
          guard first.response.route.transferredBlocks > 0, second.response.route.transferredBlocks > 0 else {
            throw ServingError(
              .internalError, "the decode worker computed the prompt itself: nothing was handed over")
          }
          computed.append(first.seconds * 1000)
          after.append((first.seconds - first.response.timeline.prefillSeconds) * 1000)
          cached.append(second.seconds * 1000)
          rates.append(Double(second.response.route.transferredBytes) / 1_048_576 / second.seconds)
        }
        return [
          Measurement("hand-off \(length), first token", unit: "ms", values: computed),
          Measurement("hand-off \(length), beyond prefill", unit: "ms", values: after),
          Measurement("hand-off \(length), all cached", unit: "ms", values: cached),
          Measurement("hand-off \(length), all cached", unit: "MiB/s", values: rates),
        ]
      }
    }
  }
}
