import ArgumentParser
import ClusterHarness
import LoadHarness
import ServingTypes

/// `baton bench directory`.
struct BenchDirectory: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "directory",
    abstract: "How many blocks a worker announces in a second, and how long a lookup takes.",
    discussion: """
      A redis-server of its own on the loopback. docs/benchmarks.md says what counts.

      EXAMPLES
        baton bench directory
      """)

  @Option(help: ArgumentHelp("Write rows and bars as JSON; - is standard output.", valueName: "file"))
  var json: String?

  func run() async throws {
    let result = try await untilInterrupted { try await DirectoryLoad().run(port: try FreePort.find()) }
    if json != "-" { for bar in result.bars { print(bar.line) } }
    if let json { try BenchReport(model: "none", bars: result.bars, results: result).write(to: json) }
  }
}
