import ClusterHarness
import Testing

@Suite struct ChaosScheduleTests {
  private let groups = [
    ChaosSchedule.Group(.workers, ["decode-0", "decode-1"]),
    ChaosSchedule.Group(.workers, ["prefill-0", "prefill-1", "prefill-2"]),
    ChaosSchedule.Group(.routers, ["router-0", "router-1"]),
    ChaosSchedule.Group(.redis, ["redis"]),
  ]

  @Test func isTheSameForTheSameSeed() {
    let one = ChaosSchedule(ChaosConfiguration(seed: 5), groups: groups)
    #expect(one == ChaosSchedule(ChaosConfiguration(seed: 5), groups: groups))
    #expect(one != ChaosSchedule(ChaosConfiguration(seed: 6), groups: groups))
  }

  @Test(arguments: 1...20 as ClosedRange<UInt64>) func strikesAtLeastEveryTenSeconds(seed: UInt64) {
    let configuration = ChaosConfiguration(seed: seed)
    let starts = [0] + ChaosSchedule(configuration, groups: groups).events.map(\.at) + [configuration.duration]
    #expect(zip(starts, starts.dropFirst()).allSatisfy { $1 - $0 <= 10 })
  }

  @Test(arguments: 1...20 as ClosedRange<UInt64>) func takesOneOfAGroupAwayAtATime(seed: UInt64) {
    let events = ChaosSchedule(ChaosConfiguration(seed: seed), groups: groups).events
    for group in groups {
      let absences = events.filter { event in
        group.names.contains(event.target) && [.kill, .freeze, .stall, .halfOpen, .terminate].contains(event.fault)
      }
      #expect(zip(absences, absences.dropFirst()).allSatisfy { $0.until <= $1.at })
    }
  }

  @Test func usesEveryFault() {
    let events = ChaosSchedule(ChaosConfiguration(duration: 3600), groups: groups).events
    #expect(Set(events.map(\.fault)) == Set(ChaosFault.allCases))
    #expect(Set(events.map(\.target)) == Set(groups.flatMap(\.names)))
  }

  @Test func callsAreTheSameForTheSameSeed() {
    let calls = ChaosCall.mix(model: "m", count: 24, systemWords: 100, answerTokens: 8...32, seed: 3)
    #expect(calls == ChaosCall.mix(model: "m", count: 24, systemWords: 100, answerTokens: 8...32, seed: 3))
    #expect(calls.count == 24)
    #expect(calls.contains { $0.sampling.n > 1 } && calls.contains { !$0.sampling.stop.isEmpty })
    // A later turn begins with the whole of the one before.
    #expect(calls[1].prompt.hasPrefix(calls[0].prompt))
  }
}
