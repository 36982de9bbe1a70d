import Logging
import ServingTypes

/// Measures what a prefix costs that another worker holds: two workers of this process, over local sockets and with shared
/// weights.
struct FetchBenchmark {
  let loaded: LoadedModel
  let settings: EngineSettings
  let runs: Int
  let logger: Logger

  /// Prompts of `length` tokens, in turn fetched from the other worker and computed.
  func run(length: Int) async throws -> [Measurement] {
    try await BenchmarkWorkers.with(loaded, logger: logger) { workers in
      var settings = settings
      settings.engine.enablePrefixCaching = true
      settings.numBlocks = (2 * runs + 3) * (length / settings.blockSize + 2)
      let holder = try workers.worker(.decode, named: "holder", settings)
      let asking = try workers.worker(.decode, named: "asking", settings)
      return try await BenchmarkWorkers.serve([holder, asking]) {
        var fetched: [Double] = []
        var computed: [Double] = []
        var ratios: [Double] = []
        // The first pair brings connection and estimates about.
        for run in -1..<runs {
          let held = Benchmark.tokens(length, seed: 2 * run + 1077, vocabulary: asking.engine.vocabularySize)
          let other = Benchmark.tokens(length, seed: 2 * run + 1078, vocabulary: asking.engine.vocabularySize)
          _ = try await BenchmarkWorkers.ask(holder, held, over: workers.channels)
          let fetch = try await BenchmarkWorkers.ask(asking, held, holder: holder, over: workers.channels)
          let compute = try await BenchmarkWorkers.ask(asking, other, over: workers.channels)
          guard run >= 0 else { continue }
          guard fetch.response.route.fetchedBlocks > 0 else {
            throw ServingError(.internalError, "the worker computed the prompt itself: nothing was fetched")
          }
          fetched.append(fetch.seconds * 1000)
          computed.append(compute.seconds * 1000)
          ratios.append(compute.seconds / fetch.seconds)
        }
        return [
          Measurement("fetch \(length), first token", unit: "ms", values: fetched),
          Measurement("fetch \(length), computed instead", unit: "ms", values: computed),
          Measurement("fetch \(length), times faster", unit: "×", values: ratios),
        ]
      }
    }
  }
}
