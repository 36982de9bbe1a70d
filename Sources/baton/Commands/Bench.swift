import ArgumentParser
import Foundation
import Logging
import ServingTypes

/// `baton bench`.
struct Bench: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Measures this machine: prefill, decode and hand-off.",
    discussion: """
      Figures, not verdicts: repeat them, on an idle machine, before comparing.

      EXAMPLE
        baton bench --model model.gguf --json
      """)

  @OptionGroup var common: CommonOptions
  @OptionGroup(title: "Model") var model: ModelOptions
  @Flag(help: "Print one JSON object.")
  var json = false
  @Option(help: ArgumentHelp("Runs of each measurement; the median counts.", valueName: "n"))
  var runs = 3
  @OptionGroup(title: "Engine and memory") var engine: EngineOptions

  func validate() throws {
    if runs < 1 || runs > 1000 { throw ValidationError("--runs must be 1 to 1000") }
  }

  func run() async throws {
    let launched = try Launch.settings(common, logLevel: .warning) { reader in
      (ModelSettings(model, &reader), EngineSettings(engine, &reader))
    }
    guard let (settings, _) = launched else { return }
    let results = try await Benchmark(
      model: settings.0, engine: settings.1, runs: runs, logger: Logger(label: "baton.bench")
    ).run()
    if json {
      let encoder = JSONEncoder()
      encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
      print(String(decoding: try encoder.encode(results), as: UTF8.self))
    } else {
      for result in results { print(result.line) }
    }
  }
}
