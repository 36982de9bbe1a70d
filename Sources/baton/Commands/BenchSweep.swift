import ArgumentParser
import LoadHarness
import Logging
import ServingTypes

/// `baton bench sweep`.
struct BenchSweep: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "sweep",
    abstract: "Varies one parameter of the engine over the same trace.",
    discussion: """
      Any engine parameter of docs/tuning.md by its name there; the others stay as they are given. Each value runs on an \
      engine of its own, in the same memory for keys and values, but where the parameter says how much that is.

      EXAMPLES
        baton bench sweep --model model.gguf --parameter block_size --values 8,16,32,64 --svg block_size.svg
        baton bench sweep --model model.gguf --parameter target_step_time --values 0,20ms,50ms,200ms --clients 8
      """)

  @OptionGroup var common: CommonOptions
  @OptionGroup(title: "Model") var model: ModelOptions
  @Option(help: ArgumentHelp("The parameter that varies, for example block_size.", valueName: "name"))
  var parameter: String
  @Option(help: ArgumentHelp("Its values, in order.", valueName: "v,…"))
  var values: String
  @Option(
    help: ArgumentHelp(
      "Memory for keys and values, in contexts of --max-model-len (1024) in f16; --num-blocks wins.", valueName: "n"))
  var budget = 4
  @OptionGroup(title: "Load") var load: LoadOptions
  @OptionGroup(title: "Engine and memory") var engine: EngineOptions

  private var texts: [String] { values.split(separator: ",", omittingEmptySubsequences: false).map(String.init) }

  func validate() throws {
    if texts.contains("") { throw ValidationError("--values must be values with commas between them") }
    if texts.count > 32 { throw ValidationError("--values are 32 at most") }
    if budget < 1 || budget > 1_000_000 { throw ValidationError("--budget must be 1 to 1000000") }
  }

  func run() async throws {
    let name = parameter.replacing("-", with: "_")
    let launched = try Launch.settings(common, logLevel: .warning) { reader in
      (ModelSettings(model, &reader), EngineSettings(engine, &reader), variants(of: name, &reader))
    }
    guard let ((modelSettings, settings, variants), _) = launched else { return }
    let loaded = try LoadedModel(modelSettings, threads: settings.threads)
    // What every engine of the sweep takes.
    let longest = variants.compactMap(\.engine.maxModelLen).min() ?? 1024
    let context = min(longest, loaded.weights.configuration.contextLength)
    let session = LoadSession(
      loaded: loaded, trace: Trace(load.recipe(contextLength: context)),
      mode: load.mode(whole: .closedLoop(clients: 16)), logger: Logger(label: "baton.bench"))
    let benchmark = SweepBenchmark(
      session: session, parameter: name, values: texts, settings: variants, contextLength: context, budget: budget,
      runs: load.runs)
    let results = try await benchmark.run()
    if load.printsTable { print(benchmark.table(results).text) }
    if let path = load.json {
      try BenchReport(model: modelSettings.servedName, bars: [], results: results).write(to: path)
    }
    if let path = load.svg { try BenchFile.write(benchmark.chart(results).svg, to: path) }
  }

  /// The engine's settings with each value; what is wrong with them becomes the reader's problem.
  private func variants(of name: String, _ reader: inout ParameterReader) -> [EngineSettings] {
    var (settings, known) = ([EngineSettings](), Set<String>())
    let problems = Set(reader.problems)
    for text in texts {
      var own = reader.overriding(name, with: text)
      settings.append(EngineSettings(engine, &own))
      known = Set(own.readings.map(\.key))
      for problem in own.problems where !problems.contains(problem) { reader.note(problem: problem) }
    }
    if name != "max_model_len", SweepBenchmark.poolParameters.contains(name), let blocks = settings.first?.numBlocks {
      reader.note(problem: "num_blocks is \(blocks), so that \(name) decides nothing: leave it out")
    }
    if !known.contains(name) {
      let near = nearestName(to: name, in: known).map { "; did you mean \($0)?" } ?? ""
      reader.note(problem: "--parameter is '\(name)', which is no parameter of the engine that a sweep may vary\(near)")
    }
    return settings
  }
}
