import ArgumentParser
import LoadHarness
import Logging

/// `baton bench latency`.
struct BenchLatency: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "latency",
    abstract: "What a long prompt does to running streams, and they to it.",
    discussion: """
      The streams' gaps between tokens at the 99th percentile while the prompt is read, over their median without it; and the rate
      at which it is read, over its rate alone. docs/benchmarks.md says what counts.

      EXAMPLES
        baton bench latency --model model.gguf
        baton bench latency --model model.gguf --streams 1,4,8,32 --prompt 8000 --runs 5 --json latency.json
      """)

  @OptionGroup var common: CommonOptions
  @OptionGroup(title: "Model") var model: ModelOptions
  @Option(help: ArgumentHelp("Write rows and bars as JSON; - is standard output.", valueName: "file"))
  var json: String?
  @Option(help: ArgumentHelp("Runs with each number of streams; the medians count.", valueName: "n"))
  var runs = 3
  @Option(help: ArgumentHelp("Streams that run meanwhile (4,8).", valueName: "n,…"))
  var streams: NumberList?
  @Option(help: ArgumentHelp("Tokens of the long prompt.", valueName: "n"))
  var prompt = 8000
  @Option(help: ArgumentHelp("Tokens of each stream's own prompt.", valueName: "n"))
  var context = 100
  @OptionGroup(title: "Engine and memory") var engine: EngineOptions

  func validate() throws {
    if runs < 1 || runs > 1000 { throw ValidationError("--runs must be 1 to 1000") }
    if prompt < 1 || prompt > 1_000_000 { throw ValidationError("--prompt must be 1 to 1000000") }
  }

  func run() async throws {
    let launched = try Launch.settings(common, logLevel: .warning) { reader in
      (ModelSettings(model, &reader), EngineSettings(engine, &reader))
    }
    guard let (settings, _) = launched else { return }
    let rows = try await LatencyBenchmark(
      model: settings.0, engine: settings.1, streams: streams?.values ?? [4, 8], promptLength: prompt, context: context,
      runs: runs,
      logger: Logger(label: "baton.bench")
    ).run()
    let bars = rows.flatMap(\.bars)
    if json != "-" {
      for row in rows { print(row.line) }
      for bar in bars { print(bar.line) }
    }
    if let json { try BenchReport(model: settings.0.servedName, bars: bars, results: rows).write(to: json) }
  }
}
