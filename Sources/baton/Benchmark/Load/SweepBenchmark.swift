import LoadHarness
import ServingTypes

/// The same trace with each value of one parameter.
struct SweepBenchmark {
  struct Result: Encodable {
    var value: String
    var blocks: Int
    var figures: LoadFigures
  }

  let session: LoadSession
  let parameter: String
  let values: [String]
  /// With each value.
  let settings: [EngineSettings]
  let contextLength: Int
  let budget: Int
  let runs: Int

  /// What the size of the pool follows from, where `num_blocks` is not given; with others it is that of `budget` contexts.
  static let poolParameters = ["memory_budget", "memory_utilization", "local_workers", "max_model_len"]
  /// What turns requests away.
  private static let queueParameters = ["max_queue_wait", "max_queued_requests"]

  func run() async throws -> [Result] {
    let prepared = settings.map { given in
      var settings = given
      // Each engine has to hold the trace's longest request.
      if parameter != "max_model_len" { settings.engine.maxModelLen = contextLength }
      if !Self.poolParameters.contains(parameter) {
        settings.numBlocks = given.numBlocks ?? session.blockCount(contexts: budget, of: contextLength, settings)
      }
      return settings
    }
    var results = values.map { _ in [LoadResult]() }
    for run in 0..<runs {
      for (index, value) in values.enumerated() {
        let result = try await session.run(
          prepared[index], takesRefusals: Self.queueParameters.contains(parameter))
        results[index].append(result)
        LoadSession.note(
          "\(parameter) \(value), run \(run + 1): \(FigureText.of(result.outputTokensPerSecond)) tokens/s")
      }
    }
    return values.indices.map { index in
      Result(
        value: values[index], blocks: results[index].first?.after.totalBlocks ?? 0,
        figures: LoadFigures(results[index]))
    }
  }

  func table(_ results: [Result]) -> TextTable {
    var table = TextTable(
      [
        parameter, "blocks", "tokens/s", "first token p50", "p99", "others' p50", "gap p50", "p99", "latency p50",
        "p99", "at once", "preempted", "refused", "hits", "accepted",
      ], wordColumns: 1)
    func milliseconds(_ seconds: Double) -> String { FigureText.decimal(seconds * 1000, places: 1) + " ms" }
    for result in results {
      let figures = result.figures
      table.add([
        result.value, "\(result.blocks)", FigureText.of(figures.tokensPerSecond),
        milliseconds(figures.firstTokenP50), milliseconds(figures.firstTokenP99),
        figures.othersFirstTokenP50.map(milliseconds) ?? "–", milliseconds(figures.gapP50),
        milliseconds(figures.gapP99),
        FigureText.decimal(figures.latencyP50, places: 2) + " s",
        FigureText.decimal(figures.latencyP99, places: 2) + " s",
        FigureText.of(figures.sequencesAtOnce), FigureText.of(figures.preemptions), FigureText.of(figures.refused),
        TextTable.percent(figures.hitRate), figures.acceptanceRate.map(TextTable.percent) ?? "–",
      ])
    }
    return table
  }

  func chart(_ results: [Result]) -> LineChart {
    func curve(_ name: String, _ figure: (LoadFigures) -> Double) -> LineChart.Curve {
      LineChart.Curve(name: name, values: results.map { figure($0.figures) })
    }
    let trace = session.trace
    return LineChart(
      title: "\(parameter) on \(session.loaded.settings.servedName)",
      subtitle:
        "\(trace.requests.count) requests, \(trace.promptTokens) prompt and \(trace.outputTokens) generated tokens"
        + (Self.poolParameters.contains(parameter)
          ? "" : "; keys and values in the memory of \(budget) contexts of \(contextLength) tokens in f16"),
      axis: parameter, ticks: values,
      panels: [
        LineChart.Panel(title: "Throughput", unit: "tokens/s", curves: [curve("", \.tokensPerSecond)]),
        LineChart.Panel(
          title: "Time to first token", unit: "ms",
          curves: [curve("p50") { $0.firstTokenP50 * 1000 }, curve("p99") { $0.firstTokenP99 * 1000 }]),
        LineChart.Panel(
          title: "Between tokens", unit: "ms",
          curves: [curve("p50") { $0.gapP50 * 1000 }, curve("p99") { $0.gapP99 * 1000 }]),
        LineChart.Panel(
          title: "Latency", unit: "s", curves: [curve("p50", \.latencyP50), curve("p99", \.latencyP99)]),
      ])
  }
}
