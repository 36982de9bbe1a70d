import Testing

/// One request, and everything that can happen to it once or twice: each message, each fault, and each pair of both.
@Suite struct ExhaustiveTests {
  @Test func oneRequestSurvivesAnyTwoFaults() async {
    let base = await World.run(Scenario(faults: []))
    #expect(base.failures.isEmpty && base.right == 1, "\(base.failures)")
    var tally = Tally()
    await withTaskGroup(of: Tally.self) { group in
      for shard in 0..<2 {
        group.addTask {
          var tally = Tally()
          for message in 0..<base.messages where message % 2 == shard {
            for kind in FaultKind.allCases { await Self.goOn(from: Fault(kind: kind, message: message), into: &tally) }
          }
          return tally
        }
      }
      for await part in group { tally.add(part) }
    }
    print("exhaustive, \(base.messages) messages without faults: \(tally)")
    for failure in tally.failures.prefix(20) {
      Issue.record("\(failure.faults): \(failure.report.failures.joined(separator: "; "))")
    }
  }

  /// The fault alone, then with each second one.
  private static func goOn(from first: Fault, into tally: inout Tally) async {
    let single = await World.run(Scenario(faults: [first]))
    // It does not apply to this message.
    if single.faults.isEmpty { return }
    tally.add(single, faults: [first])
    for message in first.message + 1..<max(first.message + 1, single.messages) {
      for kind in FaultKind.allCases {
        let faults = [first, Fault(kind: kind, message: message)]
        let report = await World.run(Scenario(faults: faults))
        if report.faults.values.reduce(0, +) == 2 { tally.add(report, faults: faults) }
      }
    }
  }
}
