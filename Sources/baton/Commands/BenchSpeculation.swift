import ArgumentParser
import Engine
import Foundation
import LoadHarness
import Logging
import ServingTypes

/// `baton bench speculation`.
struct BenchSpeculation: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "speculation",
    abstract: "Compares speculative with plain decoding of one sequence.",
    discussion: """
      Each pair of runs gives the same tokens, or the command fails. The methods are ngram, suffix and, with --draft-model, \
      draft; --threads, --num-speculative-tokens and the like apply to both sides.

      EXAMPLES
        baton bench speculation --model model.gguf --draft-model small.gguf --json speculation.json
        baton bench speculation --model model.gguf --methods ngram,suffix --rows unpredictable --narrow-pairs 40
      """)

  @OptionGroup var common: CommonOptions
  @OptionGroup(title: "Model") var model: ModelOptions
  @Option(help: ArgumentHelp("The methods (all that can run).", valueName: "method,…"))
  var methods: String?
  @Option(help: ArgumentHelp("The rows: code, edit, unpredictable, short, verify (all).", valueName: "row,…"))
  var rows: String?
  @Option(help: ArgumentHelp("The prompt of the row code, taken as it is.", valueName: "file"))
  var code = "Tests/Golden/spec/code.txt"
  @Option(help: ArgumentHelp("The prompt of the row edit, taken as it is.", valueName: "file"))
  var edit = "Tests/Golden/spec/edit.txt"
  @Option(help: ArgumentHelp("New tokens of a run.", valueName: "n"))
  var generate = 128
  @Option(help: ArgumentHelp("Pairs of runs of code and edit.", valueName: "n"))
  var pairs = 5
  @Option(help: ArgumentHelp("Pairs of runs where drafts cannot pay.", valueName: "n"))
  var narrowPairs = 20
  @Option(help: ArgumentHelp("Write all figures as JSON; - is standard output.", valueName: "file"))
  var json: String?
  @OptionGroup(title: "Engine and memory") var engine: EngineOptions

  private static let verification = "verify"
  private static let verifiedTokens = 5

  func validate() throws {
    _ = try chosenRows()
    _ = try chosenMethods(hasDraftModel: true)
    if generate < 2 || generate > 100_000 { throw ValidationError("--generate must be 2 to 100000") }
    if pairs < 2 || pairs > 1000 { throw ValidationError("--pairs must be 2 to 1000") }
    if narrowPairs < 2 || narrowPairs > 1000 { throw ValidationError("--narrow-pairs must be 2 to 1000") }
  }

  func run() async throws {
    let launched = try Launch.settings(common, logLevel: .warning) { reader in
      (ModelSettings(model, &reader), EngineSettings(engine, &reader))
    }
    guard let ((modelSettings, given), _) = launched else { return }
    var settings = given
    let methods = try chosenMethods(hasDraftModel: settings.draftModel != nil)
    let names = try chosenRows()
    let rows = names.compactMap { SpeculationRow(rawValue: $0) }
    let texts = try rows.compactMap { row in try path(of: row).map { (row, try Self.text(of: $0)) } }
    let loaded = try LoadedModel(modelSettings, threads: settings.threads)
    let prompts = texts.map { ($0.0, loaded.tokenizer.encode($0.1, parseSpecial: true, addSpecial: true)) }
    if settings.numBlocks == nil {
      let longest = max(prompts.map(\.1.count).max() ?? 0, 512) + generate * 4
      settings.numBlocks = longest / settings.blockSize + 8
    }
    let benchmark = SpeculationBenchmark(
      loaded: loaded, settings: settings, methods: methods, rows: rows,
      prompts: Dictionary(prompts, uniquingKeysWith: { first, _ in first }), generate: generate, pairs: pairs,
      narrowPairs: narrowPairs, logger: Logger(label: "baton.bench"))
    let results = rows.isEmpty ? [] : try await benchmark.run()
    var bars = benchmark.bars(results)
    if names.contains(Self.verification) {
      bars.append(
        try VerificationBenchmark(loaded: loaded, settings: settings, tokens: Self.verifiedTokens, runs: 41)
          .measuredBar())
    }
    if json != "-" {
      if !results.isEmpty { print(benchmark.table(results).text) }
      for bar in bars { print(bar.line) }
    }
    if let json { try BenchReport(model: modelSettings.servedName, bars: bars, results: results).write(to: json) }
  }

  private func chosenRows() throws -> [String] {
    let known = SpeculationRow.allCases.map(\.rawValue) + [Self.verification]
    guard let rows else { return known }
    return try rows.split(separator: ",", omittingEmptySubsequences: false).map { name in
      guard known.contains(String(name)) else {
        throw ValidationError("--rows names '\(name)'; the rows are \(known.joined(separator: ", "))")
      }
      return String(name)
    }
  }

  private func chosenMethods(hasDraftModel: Bool) throws -> [SpeculationMethod] {
    guard let methods else { return SpeculationMethod.allCases.filter { $0 != .draft || hasDraftModel } }
    return try methods.split(separator: ",", omittingEmptySubsequences: false).map { name in
      guard let method = SpeculationMethod(rawValue: String(name)) else {
        let known = SpeculationMethod.allCases.map(\.rawValue).joined(separator: ", ")
        throw ValidationError("--methods names '\(name)'; the methods are \(known)")
      }
      if method == .draft, !hasDraftModel {
        throw ValidationError("--methods names draft, and --draft-model is missing")
      }
      return method
    }
  }

  private func path(of row: SpeculationRow) -> String? {
    switch row {
    case .code: code
    case .edit: edit
    case .unpredictable, .short: nil
    }
  }

  private static func text(of path: String) throws -> String {
    do {
      return try String(contentsOfFile: path, encoding: .utf8)
    } catch {
      throw ServingError(.invalidArgument, "cannot read \(path): \(error.localizedDescription)")
    }
  }
}
