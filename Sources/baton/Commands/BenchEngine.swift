import ArgumentParser
import Foundation
import Logging
import ModelRuntime
import ServingTypes

/// `baton bench engine`, and `baton bench` with options alone.
struct BenchEngine: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "engine",
    abstract: "Measures one engine: prefill, decode and hand-off.",
    discussion: """
      Figures, not verdicts: repeat them, on an idle machine, before comparing. docs/benchmarks.md says what a row counts.

      EXAMPLES
        baton bench --model model.gguf --json
        baton bench --model model.gguf --only prefill --prefill 512,2048,7500 --runs 5
        baton bench --model model.gguf --only decode --depth 4096
      """)

  @OptionGroup var common: CommonOptions
  @OptionGroup(title: "Model") var model: ModelOptions
  @Flag(help: "Print one JSON object.")
  var json = false
  @Option(help: ArgumentHelp("Runs of each measurement; the median counts.", valueName: "n"))
  var runs = 3
  @Option(help: ArgumentHelp("Measure one kind alone: prefill, decode or handoff.", valueName: "kind"))
  var only: BenchmarkPlan.Work?
  @Option(help: ArgumentHelp("Lengths of the prompts that are read (512,2048).", valueName: "n,…"))
  var prefill: NumberList?
  @Option(help: ArgumentHelp("Sequences that are decoded at once (1,8,32).", valueName: "n,…"))
  var batch: NumberList?
  @Option(help: ArgumentHelp("Prompt of each sequence of a batch, in tokens.", valueName: "n"))
  var prompt = 128
  @Option(help: ArgumentHelp("New tokens of each sequence.", valueName: "n"))
  var generate = 128
  @Option(
    help: ArgumentHelp("Contexts at which one sequence is decoded; without --batch, only those.", valueName: "n,…"))
  var depth: NumberList?
  @Option(help: ArgumentHelp("Instructions of the kernels: avx512, avx2 or portable (the fastest).", valueName: "name"))
  var path: KernelPath?
  @OptionGroup(title: "Engine and memory") var engine: EngineOptions

  func validate() throws {
    if runs < 1 || runs > 1000 { throw ValidationError("--runs must be 1 to 1000") }
    if prompt < 1 || prompt > 1_000_000 { throw ValidationError("--prompt must be 1 to 1000000") }
    if generate < 2 || generate > 1_000_000 { throw ValidationError("--generate must be 2 to 1000000") }
    if let path, !path.isSupported { throw ValidationError("this processor cannot run \(path.rawValue)") }
  }

  func run() async throws {
    let launched = try Launch.settings(common, logLevel: .warning) { reader in
      (ModelSettings(model, &reader), EngineSettings(engine, &reader))
    }
    guard var (settings, _) = launched else { return }
    settings.1.kernelPath = path
    let results = try await Benchmark(
      model: settings.0, engine: settings.1, plan: plan, logger: Logger(label: "baton.bench")
    ).run()
    if json {
      let encoder = JSONEncoder()
      encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
      print(String(decoding: try encoder.encode(results), as: UTF8.self))
    } else {
      for result in results { print(result.line) }
    }
  }

  private var plan: BenchmarkPlan {
    var plan = BenchmarkPlan()
    if let only { plan.works = [only] }
    plan.prefill = prefill?.values
    plan.batch = batch?.values ?? (depth == nil ? plan.batch : [])
    plan.depth = depth?.values ?? []
    plan.prompt = prompt
    plan.generate = generate
    plan.runs = runs
    return plan
  }
}

extension KernelPath: ExpressibleByArgument {}
