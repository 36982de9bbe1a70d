import ArgumentParser
import Foundation
import LoadHarness
import Logging

/// `baton bench offload`.
struct BenchOffload: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "offload",
    abstract: "What host memory and a file below a small pool give to conversations.",
    discussion: """
      Conversations of several turns in a pool of a quarter of what they need, beside a pool that holds them all and beside one with
      nothing below it. The answers must be the same. docs/benchmarks.md says what counts.

      EXAMPLES
        baton bench offload --model model.gguf
        baton bench offload --model model.gguf --conversations 16 --clients 4 --turns 4 --json offload.json
      """)

  @OptionGroup var common: CommonOptions
  @OptionGroup(title: "Model") var model: ModelOptions
  @Option(help: ArgumentHelp("Write rows and bars as JSON; - is standard output.", valueName: "file"))
  var json: String?
  @Option(help: ArgumentHelp("Runs of each kind; the medians count.", valueName: "n"))
  var runs = 3
  @Option(help: ArgumentHelp("Conversations.", valueName: "n"))
  var conversations = ConversationLoad().conversations
  @Option(help: ArgumentHelp("Requests at once.", valueName: "n"))
  var clients = ConversationLoad().clients
  @Option(help: ArgumentHelp("Turns of each conversation.", valueName: "n"))
  var turns = ConversationLoad().turns
  @Option(help: ArgumentHelp("Tokens of a conversation's first prompt.", valueName: "n"))
  var firstPrompt = ConversationLoad().firstPromptLength
  @Option(help: ArgumentHelp("Tokens that each further prompt adds.", valueName: "n"))
  var prompt = ConversationLoad().promptLength
  @Option(help: ArgumentHelp("Tokens of each answer.", valueName: "n"))
  var output = ConversationLoad().outputLength
  @OptionGroup(title: "Engine and memory") var engine: EngineOptions

  func validate() throws {
    let counts = [
      ("runs", runs), ("conversations", conversations), ("clients", clients), ("turns", turns),
      ("first-prompt", firstPrompt), ("prompt", prompt), ("output", output),
    ]
    for (name, count) in counts where count < 1 || count > 100_000 {
      throw ValidationError("--\(name) must be 1 to 100000")
    }
  }

  func run() async throws {
    let launched = try Launch.settings(common, logLevel: .warning) { reader in
      (ModelSettings(model, &reader), EngineSettings(engine, &reader))
    }
    guard let (settings, _) = launched else { return }
    var load = ConversationLoad()
    (load.conversations, load.clients, load.turns) = (conversations, clients, turns)
    (load.firstPromptLength, load.promptLength, load.outputLength) = (firstPrompt, prompt, output)
    let rows = try await OffloadBenchmark(
      model: settings.0, engine: settings.1, load: load, runs: runs,
      folder: settings.1.engine.offloadDir ?? FileManager.default.temporaryDirectory.path,
      logger: Logger(label: "baton.bench")
    ).run()
    let bars = OffloadBenchmark.bars(rows)
    if json != "-" {
      for row in rows { print(row.line) }
      for bar in bars { print(bar.line) }
    }
    if let json { try BenchReport(model: settings.0.servedName, bars: bars, results: rows).write(to: json) }
  }
}
