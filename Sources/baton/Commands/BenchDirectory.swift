import ArgumentParser
import ClusterHarness
import LoadHarness
import Routing
import ServingTypes

/// `baton bench directory`.
struct BenchDirectory: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "directory",
    abstract: "How many blocks a worker announces in a second, and how long a lookup and the router's decision take.",
    discussion: """
      A redis-server of its own on the loopback. docs/benchmarks.md says what counts.

      EXAMPLES
        baton bench directory
      """)

  @Option(help: ArgumentHelp("Write rows and bars as JSON; - is standard output.", valueName: "file"))
  var json: String?

  func run() async throws {
    let result = try await untilInterrupted { try await DirectoryLoad().run(port: try FreePort.find()) }
    let bars = result.bars + Self.decisionBars()
    if json != "-" { for bar in bars { print(bar.line) } }
    if let json { try BenchReport(model: "none", bars: bars, results: result).write(to: json) }
  }

  /// The router's own part of a decision.
  private static func decisionBars() -> [Bar] {
    let times = DecisionLoad().run()
    return [
      Bar(
        work: "router", figure: "decision on 2,048 blocks over 32 workers, p50", ours: times.median, baseline: nil,
        .atMost, bar: 200, unit: "µs")
    ]
  }
}
