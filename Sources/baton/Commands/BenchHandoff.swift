import ArgumentParser
import ClusterHarness
import Foundation
import LoadHarness
import Logging
import Routing
import ServingTypes

/// `baton bench handoff`.
struct BenchHandoff: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "handoff",
    abstract: "How fast blocks change workers, and what the directory and the router's decision take.",
    discussion: """
      Two workers of this process with blocks of a model of eight billion weights, over TCP on the loopback; a redis-server of its
      own. No model is needed. Ends with 1 when a bar is missed.

      EXAMPLES
        baton bench handoff
        baton bench handoff --only directory --json directory.json
      """)

  enum Work: String, CaseIterable, ExpressibleByArgument {
    case handoff
    case directory
    case decision
  }

  @Option(help: ArgumentHelp("Measure one kind alone: handoff, directory or decision.", valueName: "kind"))
  var only: Work?
  @Option(help: ArgumentHelp("Write the figures as JSON; - is standard output.", valueName: "file"))
  var json: String?

  func run() async throws {
    var bars: [Bar] = []
    func includes(_ work: Work) -> Bool { only.map { $0 == work } ?? true }
    if includes(.decision) { bars += Self.decisionBars() }
    if includes(.directory) { bars += try await DirectoryLoad().run(port: try FreePort.find()).bars }
    if includes(.handoff) { bars += try await HandoffLoad().run(logger: Logger(label: "baton.bench")).bars }
    if json != "-" { for bar in bars { print(bar.line) } }
    if let json { try BenchReport(model: "bulk", bars: bars, results: [String]()).write(to: json) }
    if bars.contains(where: { !$0.met }) { throw ExitCode(1) }
  }

  /// The router's own part of a decision.
  static func decisionBars() -> [Bar] {
    let times = DecisionLoad().run()
    return [
      Bar(
        work: "router", figure: "decision on 2,048 blocks over 32 workers, p50", ours: times.median, baseline: nil,
        .atMost, bar: 200, unit: "µs")
    ]
  }
}
