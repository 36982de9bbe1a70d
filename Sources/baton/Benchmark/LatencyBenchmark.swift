import Engine
import LoadHarness
import Logging
import ServingTypes

/// What a long prompt does to running streams, and they to it. As served, but without drafts: these come in bunches.
struct LatencyBenchmark {
  /// The medians of the runs with so many streams.
  struct Row: Codable {
    var streams: Int
    var promptLength: Int
    var quietMedian: Double
    var quietP99: Double
    var loadedMedian: Double
    var loadedP99: Double
    var stretch: Double
    var aloneTokensPerSecond: Double
    var loadedTokensPerSecond: Double
    var keptRate: Double

    init(streams: Int, _ runs: [LongPromptResult]) {
      func median(_ value: (LongPromptResult) -> Double) -> Double { runs.map(value).median }
      self.streams = streams
      promptLength = runs.first?.promptLength ?? 0
      quietMedian = median { $0.quietGaps.median }
      quietP99 = median { $0.quietGaps.quantile(0.99) }
      loadedMedian = median { $0.loadedGaps.median }
      loadedP99 = median { $0.loadedGaps.quantile(0.99) }
      stretch = median(\.stretch)
      aloneTokensPerSecond = median { Double($0.promptLength) / $0.aloneSeconds }
      loadedTokensPerSecond = median { Double($0.promptLength) / $0.loadedSeconds }
      keptRate = median(\.keptRate)
    }

    var bars: [Bar] {
      let work = "\(promptLength) tokens beside \(streams) streams"
      return [
        Bar(
          work: work, figure: "gap p99 over the median without the prompt", ours: stretch, baseline: nil, .atMost,
          bar: 4, unit: "×"),
        Bar(
          work: work, figure: "prefill rate over the rate alone", ours: keptRate, baseline: nil, .atLeast, bar: 0.6,
          unit: "×"),
      ]
    }

    var line: String {
      func ms(_ seconds: Double) -> String { "\((seconds * 10_000).rounded() / 10)" }
      return
        "\(streams) streams: gaps \(ms(quietMedian)) ms (p99 \(ms(quietP99))) without, \(ms(loadedMedian)) ms (p99"
        + " \(ms(loadedP99))) beside the prompt; prefill \(Int(aloneTokensPerSecond)) tokens/s alone,"
        + " \(Int(loadedTokensPerSecond)) beside them"
    }
  }

  let model: ModelSettings
  let engine: EngineSettings
  let streams: [Int]
  let promptLength: Int
  let context: Int
  let runs: Int
  let logger: Logger

  /// With as many streams in turn, each run after one with every other number.
  func run() async throws -> [Row] {
    let places = engine.engine.maxNumSeqs
    if let most = streams.max(), most >= places {
      throw ServingError(
        .invalidArgument, "\(most) streams and the prompt are more sequences than max_num_seqs, which is \(places)")
    }
    let loaded = try LoadedModel(model, threads: engine.threads)
    var settings = engine
    settings.engine.enableSpecDecode = false
    let core = try loaded.makeEngine(settings, logger: logger)
    core.start()
    do {
      // Brings weights and scratch into memory, and lets the engine learn what a step costs.
      _ = try await LongPromptLoad(
        engine: core, streams: 1, promptLength: min(1000, promptLength), quiet: .seconds(1)
      ).run(seed: 0)
      var results: [Int: [LongPromptResult]] = [:]
      for run in 0..<runs {
        for count in streams {
          let load = LongPromptLoad(
            engine: core, streams: count, promptLength: promptLength, streamPromptLength: context)
          let result = try await load.run(seed: UInt64(1 + run * 1000 + count))
          // Of no gaps the quantile is 0, which every bar would let pass.
          guard !result.quietGaps.isEmpty, !result.loadedGaps.isEmpty else {
            throw ServingError(
              .failedPrecondition, "\(count) streams are too slow here to show gaps between tokens: take fewer")
          }
          results[count, default: []].append(result)
        }
      }
      await core.stop()
      return streams.map { Row(streams: $0, results[$0] ?? []) }
    } catch {
      await core.stop()
      throw error
    }
  }
}
