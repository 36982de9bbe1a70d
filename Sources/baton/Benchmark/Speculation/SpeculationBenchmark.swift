import Engine
import Foundation
import LoadHarness
import Logging
import ModelRuntime
import ServingTypes

/// One sequence with speculation and without it, in turn.
struct SpeculationBenchmark {
  /// One line of the table.
  struct Result: Encodable {
    var row: SpeculationRow
    var method: String
    var tokensPerSecond: Double
    var plainTokensPerSecond: Double
    /// Time without ÷ time with, pair by pair.
    var ratio: PairedRatio
    var drafted: Int
    var acceptance: Double
    /// What the draft model took, of the time with speculation.
    var draftModelShare: Double
  }

  private static let unpredictablePrompt = 64
  private static let longPrompt = 512
  private static let shortAnswer = 24

  let loaded: LoadedModel
  let settings: EngineSettings
  let methods: [SpeculationMethod]
  let rows: [SpeculationRow]
  /// Of `code` and `edit`.
  let prompts: [SpeculationRow: [TokenID]]
  let generate: Int
  /// Of `code` and `edit`, and of the others, which are held against a narrower bar.
  let pairs: Int
  let narrowPairs: Int
  let logger: Logger

  func run() async throws -> [Result] {
    let plain = try engine(nil)
    var results: [Result] = []
    do {
      for method in methods {
        let speculative = try engine(method)
        do {
          let comparison = SpeculationComparison(speculative: speculative, plain: plain)
          for row in rows { results.append(try await measure(row, method, comparison)) }
          await speculative.stop()
        } catch {
          await speculative.stop()
          throw error
        }
      }
      await plain.stop()
    } catch {
      await plain.stop()
      throw error
    }
    return results
  }

  private func engine(_ method: SpeculationMethod?) throws -> EngineCore {
    var settings = settings
    settings.engine.enablePrefixCaching = false
    settings.engine.swapSpace = 0
    settings.engine.offloadDir = nil
    settings.engine.enableSpecDecode = method != nil
    if let method { settings.engine.specMethod = method }
    let engine = try loaded.makeEngine(settings, logger: logger)
    engine.start()
    return engine
  }

  private func measure(
    _ row: SpeculationRow, _ method: SpeculationMethod, _ comparison: SpeculationComparison
  ) async throws -> Result {
    let isNarrow = row.bar(method).map { $0 < 1 } ?? false
    // The first run finds cold caches and learns what steps cost.
    _ = try await comparison.run(pairs: 1) { _ in work(row, seed: -1) }
    let before = comparison.speculative.statistics.speculation.draftModel.seconds
    let found = try await comparison.run(pairs: isNarrow ? narrowPairs : pairs) { work(row, seed: $0) }
    let drafting = comparison.speculative.statistics.speculation.draftModel.seconds - before
    let tokens = Double(found.tokens) / Double(found.ratios.count)
    let result = Result(
      row: row, method: method.rawValue, tokensPerSecond: tokens / found.speculative.median,
      plainTokensPerSecond: tokens / found.plain.median, ratio: PairedRatio(found.ratios), drafted: found.drafted,
      acceptance: found.acceptance, draftModelShare: drafting / found.speculative.reduce(0, +))
    LoadSession.note(
      "\(method.rawValue), \(row.rawValue): \(FigureText.decimal(result.ratio.median, places: 2)) × plain decoding")
    return result
  }

  private func work(_ row: SpeculationRow, seed: Int) -> SpeculationComparison.Work {
    let vocabulary = loaded.weights.configuration.vocabularySize
    switch row {
    case .code, .edit:
      return .init(
        prompt: prompts[row] ?? [],
        sampling: SamplingParameters(temperature: 0, maxTokens: generate, ignoreEOS: true))
    case .unpredictable:
      return .init(
        prompt: Benchmark.tokens(Self.unpredictablePrompt, seed: seed + 1000, vocabulary: vocabulary),
        sampling: SamplingParameters(
          temperature: 1.5, seed: UInt64(seed + 1000), maxTokens: Self.unpredictablePrompt, ignoreEOS: true))
    case .short:
      // It may end, and does not before it is told to.
      var sampling = SamplingParameters(temperature: 0, maxTokens: generate * 4)
      for token in loaded.tokenizer.endOfGenerationTokens { sampling.logitBias[token] = -100 }
      return .init(
        prompt: Benchmark.tokens(Self.longPrompt, seed: seed + 2000, vocabulary: vocabulary), sampling: sampling,
        stopAfter: Self.shortAnswer)
    }
  }

  // MARK: What is said about it

  func bars(_ results: [Result]) -> [Bar] {
    results.compactMap { result in
      guard let method = SpeculationMethod(rawValue: result.method), let bar = result.row.bar(method) else {
        return nil
      }
      let work = "speculation \(result.method), \(loaded.settings.servedName), \(result.row.rawValue)"
      // Where the difference is small it is told pair by pair: each has a prompt of its own.
      return bar > 1
        ? Bar(
          work: work, figure: "speed", ours: result.tokensPerSecond, baseline: result.plainTokensPerSecond, .atLeast,
          bar: bar, unit: "tokens/s")
        : Bar(
          work: work, figure: "speed of plain decoding", ours: result.ratio.mean, baseline: nil, .atLeast, bar: bar,
          unit: "×")
    }
  }

  func table(_ results: [Result]) -> TextTable {
    var table = TextTable([
      "method", "prompt", "tokens/s", "plain", "ratio", "95 % interval", "pairs", "drafts", "accepted", "draft model",
    ])
    for result in results {
      let ratio = result.ratio
      table.add([
        result.method, result.row.rawValue, FigureText.of(result.tokensPerSecond),
        FigureText.of(result.plainTokensPerSecond), FigureText.decimal(ratio.median, places: 2),
        "\(FigureText.decimal(ratio.low, places: 3)) to \(FigureText.decimal(ratio.high, places: 3))",
        "\(ratio.pairs)", "\(result.drafted)", TextTable.percent(result.acceptance),
        TextTable.percent(result.draftModelShare),
      ])
    }
    return table
  }
}
