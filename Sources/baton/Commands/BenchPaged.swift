import ArgumentParser
import LoadHarness
import Logging
import ServingTypes

/// `baton bench paged`.
struct BenchPaged: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "paged",
    abstract: "Compares a contiguous cache with paging, and what paging makes possible.",
    discussion: """
      A trace of many short and few long requests, the same for every row, in the same memory for keys and values. \
      contiguous reserves the longest context for each sequence; the others take blocks as they need them.

      EXAMPLES
        baton bench paged --model model.gguf --json paged.json --svg paged.svg
        baton bench paged --model model.gguf --rows contiguous,paged --runs 5
      """)

  @OptionGroup var common: CommonOptions
  @OptionGroup(title: "Model") var model: ModelOptions
  @Option(
    help: ArgumentHelp(
      "Memory for keys and values, in contexts of --max-model-len (1024) in f16; all rows run with the first.",
      valueName: "n,…"))
  var budget: NumberList?
  @Option(
    help: ArgumentHelp(
      "The rows: contiguous, paged, fp8, int8, prefix, offload, speculation.", valueName: "row,…"))
  var rows: String?
  @OptionGroup(title: "Load") var load: LoadOptions
  @OptionGroup(title: "Engine and memory") var engine: EngineOptions

  func validate() throws { _ = try chosenRows() }

  private func chosenRows() throws -> [PagedRow] {
    guard let rows else { return PagedRow.allCases }
    return try rows.split(separator: ",", omittingEmptySubsequences: false).map { name in
      guard let row = PagedRow(rawValue: String(name)) else {
        let names = PagedRow.allCases.map(\.rawValue).joined(separator: ", ")
        throw ValidationError("--rows names '\(name)'; the rows are \(names)")
      }
      return row
    }
  }

  func run() async throws {
    let launched = try Launch.settings(common, logLevel: .warning) { reader in
      (ModelSettings(model, &reader), EngineSettings(engine, &reader))
    }
    guard let ((modelSettings, settings), _) = launched else { return }
    let loaded = try LoadedModel(modelSettings, threads: settings.threads)
    let context = min(settings.engine.maxModelLen ?? 1024, loaded.weights.configuration.contextLength)
    let session = LoadSession(
      loaded: loaded, trace: Trace(load.recipe(contextLength: context)), mode: load.mode(whole: .allAtOnce),
      logger: Logger(label: "baton.bench"))
    let benchmark = PagedBenchmark(
      session: session, settings: settings, contextLength: context, budgets: budget?.values ?? [4, 16],
      rows: try chosenRows(), runs: load.runs)
    let results = try await benchmark.run()
    let bars = benchmark.bars(results)
    if load.printsTable {
      print(benchmark.table(results).text)
      for bar in bars { print(bar.line) }
    }
    if let path = load.json {
      try BenchReport(model: modelSettings.servedName, bars: bars, results: results).write(to: path)
    }
    if let path = load.svg { try BenchFile.write(benchmark.chart(results).svg, to: path) }
  }
}
