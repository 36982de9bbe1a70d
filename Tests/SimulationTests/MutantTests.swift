import ServingTypes
import Testing

/// Faults put into the code on purpose: each is found by the same schedules, with the same checks.
@Suite struct MutantTests {
  private static let all: [(name: String, mutant: Mutants)] = [
    ("skipChecksum", .skipChecksum), ("forgetReleaseOnCancel", .forgetReleaseOnCancel),
    ("trustStaleIncarnation", .trustStaleIncarnation), ("acceptLateFrame", .acceptLateFrame),
    ("reuseBeforeSent", .reuseBeforeSent), ("ignoreCredit", .ignoreCredit), ("acceptHole", .acceptHole),
    ("forgetMovedTokens", .forgetMovedTokens), ("publishUnverified", .publishUnverified),
    ("waitForever", .waitForever),
  ]

  /// The schedules of the other tests: those that are drawn, then those that are made.
  private static let schedules =
    (UInt64(1_000_000)..<1_000_000 + 2000).map { Scenario(seed: $0) } + Scenario.staleRestarts + Scenario.singleFaults

  @Test func eachIsCaught() async {
    let found = await withTaskGroup(of: (Int, Int?, String).self) { group in
      for index in Self.all.indices {
        group.addTask {
          for (number, scenario) in Self.schedules.enumerated() {
            let report = await World.run(scenario.with(Self.all[index].mutant))
            if let failure = report.failures.first { return (index, number + 1, failure) }
          }
          return (index, nil, "")
        }
      }
      var found: [Int: (Int, String)] = [:]
      for await (index, count, failure) in group where count != nil { found[index] = (count ?? 0, failure) }
      return found
    }
    for (index, entry) in Self.all.enumerated() {
      print("mutant \(entry.name): ", found[index].map { "caught after \($0.0) schedules: \($0.1)" } ?? "not caught")
      #expect(found[index] != nil, "\(entry.name) was not caught in \(Self.schedules.count) schedules")
    }
    print("caught \(found.count) of \(Self.all.count)")
  }
}
