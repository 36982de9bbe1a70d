import Foundation
import LoadHarness
import ServingTypes

/// The same trace in the same memory with each way to keep keys and values.
struct PagedBenchmark {
  /// One row of the table.
  struct Result: Encodable {
    var row: PagedRow
    /// Contexts of full length that the memory holds.
    var budget: Int
    var kvMemoryBytes: Int
    var blocks: Int
    /// Share of the requests whose tokens are those of the contiguous row; nil where that row did not run.
    var sameTokens: Double?
    var figures: LoadFigures
  }

  let session: LoadSession
  let settings: EngineSettings
  let contextLength: Int
  /// All rows run with the first, the two that bars compare with the others too.
  let budgets: [Int]
  let rows: [PagedRow]
  let runs: Int

  func run() async throws -> [Result] {
    var results: [Result] = []
    for (index, budget) in budgets.enumerated() {
      let rows = index == 0 ? rows : rows.filter { $0 == .contiguous || $0 == .paged }
      results += try await measure(rows, budget: budget)
    }
    return results
  }

  private func measure(_ rows: [PagedRow], budget: Int) async throws -> [Result] {
    let prepared = rows.map { row in
      var settings = row.settings(from: settings)
      settings.engine.maxModelLen = contextLength
      settings.numBlocks = session.blockCount(contexts: budget, of: contextLength, settings)
      return settings
    }
    var results = rows.map { _ in [LoadResult]() }
    for run in 0..<runs {
      for (index, row) in rows.enumerated() {
        let result = try await session.run(prepared[index])
        results[index].append(result)
        LoadSession.note(
          "\(row.title), budget \(budget), run \(run + 1): \(FigureText.of(result.outputTokensPerSecond)) tokens/s")
      }
    }
    let reference = rows.firstIndex(of: .contiguous).map { results[$0][0].requests.map(\.tokens) }
    return rows.enumerated().map { index, row in
      let same = reference.map { reference in
        let pairs = results[index].flatMap { zip($0.requests.map(\.tokens), reference) }
        return Double(pairs.count { $0 == $1 }) / Double(pairs.count)
      }
      let blocks = prepared[index].numBlocks ?? 0
      return Result(
        row: row, budget: budget, kvMemoryBytes: blocks * session.blockBytes(prepared[index]), blocks: blocks,
        sameTokens: same, figures: LoadFigures(results[index]))
    }
  }

  // MARK: What is said about it

  /// Paging beside the contiguous cache. With other budgets than 4 the ratios are given without a claim.
  func bars(_ results: [Result]) -> [Bar] {
    budgets.flatMap { budget -> [Bar] in
      func result(_ row: PagedRow) -> Result? { results.first { $0.budget == budget && $0.row == row } }
      let exact = results.filter { $0.budget == budget && $0.row.isExact && $0.row != .contiguous }
      guard let base = result(.contiguous), let paged = result(.paged) else { return [] }
      let work = "paged, \(session.loaded.settings.servedName), memory of \(budget) contexts"
      let isBar = budget == Self.barBudget
      return [
        Bar(
          work: work, figure: "sequences at once", ours: paged.figures.sequencesAtOnce,
          baseline: base.figures.sequencesAtOnce, .atLeast, bar: isBar ? 3 : 1, unit: "sequences"),
        Bar(
          work: work, figure: "throughput", ours: paged.figures.tokensPerSecond,
          baseline: base.figures.tokensPerSecond, .atLeast, bar: isBar ? 1.5 : 1, unit: "tokens/s"),
        Bar(
          work: work, figure: "requests with the same tokens", ours: exact.compactMap(\.sameTokens).min() ?? 0,
          baseline: nil, .atLeast, bar: 1, unit: "share"),
      ]
    }
  }

  private static let barBudget = 4

  func table(_ results: [Result]) -> TextTable {
    var table = TextTable([
      "memory of", "row", "tokens/s", "latency p50", "p99", "KV MiB", "at once", "slots used", "hits", "preempted",
      "same tokens",
    ])
    for result in results {
      let figures = result.figures
      table.add([
        "\(result.budget)", result.row.title, FigureText.of(figures.tokensPerSecond),
        FigureText.decimal(figures.latencyP50, places: 2) + " s",
        FigureText.decimal(figures.latencyP99, places: 2) + " s",
        FigureText.decimal(Double(result.kvMemoryBytes) / 1_048_576, places: 1),
        FigureText.of(figures.sequencesAtOnce), TextTable.percent(figures.slotUse), TextTable.percent(figures.hitRate),
        FigureText.of(figures.preemptions), result.sameTokens.map(TextTable.percent) ?? "–",
      ])
    }
    return table
  }

  /// The rows of the first budget.
  func chart(_ results: [Result]) -> BarChart {
    let shown = results.filter { $0.budget == budgets.first }
    func panel(_ title: String, _ unit: String, _ figure: (Result) -> Double?) -> BarChart.Panel {
      BarChart.Panel(title: title, unit: unit, values: shown.map(figure))
    }
    let trace = session.trace
    return BarChart(
      title: "Paged attention on \(session.loaded.settings.servedName)",
      subtitle:
        "\(trace.requests.count) requests, \(trace.promptTokens) prompt and \(trace.outputTokens) generated tokens;"
        + " keys and values in the memory of \(budgets.first ?? 0) contexts of \(contextLength) tokens in f16",
      rows: shown.map(\.row.title),
      panels: [
        panel("Throughput", "tokens/s, more is better") { $0.figures.tokensPerSecond },
        panel("Sequences at once", "most, more is better") { $0.figures.sequencesAtOnce },
        panel("Latency p50", "seconds, less is better") { $0.figures.latencyP50 },
        panel("Latency p99", "seconds, less is better") { $0.figures.latencyP99 },
        panel("KV memory", "MiB") { Double($0.kvMemoryBytes) / 1_048_576 },
        panel("Slots used", "% that held a token") { $0.figures.slotUse * 100 },
        panel("Prefix hits", "% of prompt tokens") { $0.figures.hitRate * 100 },
      ])
  }
}
