import ArgumentParser
import LoadHarness
import Logging
import ServingTypes

/// `baton bench handoff`.
struct BenchHandoff: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "handoff",
    abstract: "How fast blocks change workers.",
    discussion: """
      Two workers of this process with blocks of a model of eight billion weights, over TCP on the loopback. No model is needed.

      EXAMPLES
        baton bench handoff
        baton bench handoff --json handoff.json
      """)

  @Option(help: ArgumentHelp("Write rows and bars as JSON; - is standard output.", valueName: "file"))
  var json: String?

  func run() async throws {
    var logger = Logger(label: "baton.bench")
    logger.logLevel = .warning
    let result = try await untilInterrupted { [logger] in try await HandoffLoad().run(logger: logger) }
    if json != "-" { for bar in result.bars { print(bar.line) } }
    if let json { try BenchReport(model: "bulk", bars: result.bars, results: result).write(to: json) }
  }
}
