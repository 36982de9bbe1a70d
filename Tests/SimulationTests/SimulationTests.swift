import Foundation
import ServingTypes
import Testing

@Suite struct SimulationTests {
  private static var environment: [String: String] { ProcessInfo.processInfo.environment }

  /// The same number gives the same run, step by step.
  @Test func runsCanBeReplayed() async {
    for seed in UInt64(1)...20 {
      let first = await World.run(Scenario(seed: seed))
      let second = await World.run(Scenario(seed: seed))
      #expect(first.digest == second.digest && first.steps == second.steps, "seed \(seed)")
    }
  }

  /// A request once spent all its tries within a second on a worker that was not back yet.
  @Test func theOnlyWorkerMayTakeItsTimeToComeBack() async {
    for message in 0..<12 {
      for kind in [FaultKind.crashSender, .crashReceiver] {
        var scenario = Scenario(faults: [Fault(kind: kind, message: message)])
        scenario.decodeWorkers = 1
        scenario.restartDelay = .seconds(5)...(.seconds(6))
        let report = await World.run(scenario)
        #expect(report.failures.isEmpty && report.right == 1, "\(kind) at message \(message): \(report.failures)")
      }
    }
  }

  @Test func anAnswerIsNeverContinuedByOtherWeights() async {
    var faults = 0
    for scenario in Scenario.staleRestarts {
      let report = await World.run(scenario)
      faults += report.faults.values.reduce(0, +)
      #expect(report.failures.isEmpty, "\(scenario.faults), seed \(scenario.seed): \(report.failures)")
    }
    #expect(faults >= 80, "a worker seldom died")
  }

  @Test func schedulesEndRightOrInError() async {
    let only = Self.environment[Replay.variable].flatMap(UInt64.init)
    let count = Self.environment["BATON_SIMULATION_COUNT"].flatMap(UInt64.init) ?? 10_000
    let seeds = only.map { $0..<$0 + 1 } ?? 1_000_000..<1_000_000 + count
    var tally = Tally()
    await withTaskGroup(of: Tally.self) { group in
      for shard in UInt64(0)..<2 {
        group.addTask {
          var tally = Tally()
          for seed in seeds where seed % 2 == shard { tally.add(await World.run(Scenario(seed: seed))) }
          return tally
        }
      }
      for await part in group { tally.add(part) }
    }
    print(tally)
    for failure in tally.failures.prefix(20) {
      Issue.record("\(failure.report.failures.joined(separator: "; ")); \(Replay.line(failure.report.seed))")
    }
  }
}
