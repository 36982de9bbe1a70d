import Directory
import Routing
import ServingTypes
import Testing

struct WorkerSelectorTests {
  func candidate(
    _ name: String, _ role: WorkerRole = .decode, cached: CachedPrefix = CachedPrefix(), pending: Int = 0,
    active: Int = 0, waiting: Int = 0, layout: String = "l", model: String = "m", length: Int = 4096,
    draining: Bool = false, doubtful: Bool = false, own: InFlightWork = InFlightWork(),
    unreported: InFlightWork? = nil, recent: Double = 0
  ) -> WorkerCandidate {
    WorkerCandidate(
      record: WorkerRecord(
        reference: WorkerReference(id: WorkerID(name), address: name, incarnation: Incarnation(1)), role: role,
        model: model, layoutDigest: layout, blockSize: 16, blockCount: 1000, maximumModelLength: length,
        load: WorkerLoad(pendingPrefillTokens: pending * 16, waitingSequences: waiting, activeBlocks: active),
        isDraining: draining),
      cached: cached, unreported: unreported ?? own, own: own, recentBlocks: recent, isDoubtful: doubtful)
  }

  func select(
    _ candidates: [WorkerCandidate], tokens: Int = 1600, policy: RoutingPolicy = .prefix, turn: UInt64 = 0,
    excluded: Set<WorkerReference> = [], layout: String? = nil, affinity: UInt64 = 0
  ) -> RoutingDecision? {
    var configuration = RoutingConfiguration()
    configuration.policy = policy
    return WorkerSelector(configuration: configuration).select(
      candidates,
      for: SelectionQuery(
        model: "m", tokens: tokens, requiredLayout: layout, excluded: excluded, affinity: affinity, turn: turn))
  }

  func decode(_ candidates: [WorkerCandidate]) -> String? { select(candidates)?.decode.id.value }

  @Test func theLongestPrefixWinsAmongEquals() {
    #expect(decode([candidate("a"), candidate("b", cached: CachedPrefix(device: 3)), candidate("c")]) == "b")
  }

  @Test func loadOutweighsAShorterSaving() {
    #expect(decode([candidate("a", cached: CachedPrefix(device: 30), active: 31 * 8), candidate("b")]) == "b")
    #expect(decode([candidate("a", cached: CachedPrefix(device: 30), active: 29 * 8), candidate("b")]) == "a")
    #expect(decode([candidate("a", cached: CachedPrefix(device: 30), pending: 31), candidate("b")]) == "b")
    #expect(decode([candidate("a", cached: CachedPrefix(device: 30), waiting: 8), candidate("b")]) == "b")
  }

  @Test func farTiersCountLess() {
    let host = candidate("h", cached: CachedPrefix(host: 40))
    let file = candidate("f", cached: CachedPrefix(file: 100))
    let device = candidate("d", cached: CachedPrefix(device: 29))
    #expect(decode([host, file, device]) == "h")
    #expect(decode([file, device]) == "d")
    #expect(decode([file, candidate("x")]) == "f")
  }

  @Test func ownRequestsCountBeforeTheyAreReported() {
    let busy = candidate("a", own: InFlightWork(prefillBlocks: 10, activeBlocks: 10))
    #expect(decode([busy, candidate("b")]) == "b")
  }

  /// A report may lack the newest of them, and all of those that it was made before.
  @Test func whatWasReportedIsNotCountedTwice() throws {
    let own = InFlightWork(prefillBlocks: 9, activeBlocks: 9)
    let costs = try #require(
      select([
        candidate("a", pending: 8, active: 8, own: own, unreported: InFlightWork()),
        candidate("b", pending: 8, active: 8, own: own, unreported: InFlightWork(prefillBlocks: 2, activeBlocks: 4)),
      ])
    ).costs
    #expect(costs.map(\.pending) == [9, 10])
    #expect(costs.map(\.active) == [9.0 / 8, 12.0 / 8])
  }

  @Test func whoWasLatelyGivenMuchToComputeIsSpared() throws {
    let decision = try #require(select([candidate("a", recent: 80), candidate("b")]))
    #expect(decision.decode.id.value == "b")
    #expect(decision.costs[0].recent == RoutingConfiguration().recentBlockCost * 80)
    #expect(decision.costs[0].recent > 0 && decision.costs[1].recent == 0)
  }

  @Test func onlyAbleWorkersAreTaken() {
    #expect(select([]) == nil)
    #expect(decode([candidate("a", .prefill)]) == nil)
    #expect(decode([candidate("a", draining: true)]) == nil)
    #expect(decode([candidate("a", model: "other")]) == nil)
    #expect(decode([candidate("a", length: 1600)]) == nil)
    #expect(decode([candidate("a", length: 1601)]) == "a")
    #expect(select([candidate("a")], excluded: [candidate("a").record.reference]) == nil)
    #expect(select([candidate("a")], layout: "other") == nil)
    #expect(decode([candidate("a", .both)]) == "a")
  }

  @Test func doubtfulWorkersAreALastResort() {
    #expect(
      decode([candidate("a", cached: CachedPrefix(device: 100), doubtful: true), candidate("b", active: 900)]) == "b")
    #expect(decode([candidate("a", doubtful: true)]) == "a")
  }

  @Test func eachWorkerIsGatedByItsOwnLoad() {
    let full = candidate("a", cached: CachedPrefix(device: 100), active: 960)
    let other = candidate("b", active: 900)
    #expect(decode([full, other]) == "b", "even though the cost would favour it")
    #expect(decode([full, candidate("b", active: 990)]) == "a", "all are gated, so the cost decides")
    let behind = candidate("a", cached: CachedPrefix(device: 6000), pending: 5000, length: 1 << 20)
    let idle = candidate("b", length: 1 << 20)
    #expect(select([behind, idle], tokens: 6000 * 16)?.decode.id.value == "b", "prompts that wait count too")
  }

  @Test func tiesAreBrokenByThePromptAndAlwaysAlike() {
    let names = (0..<8).map { "w\($0)" }
    var hits: [String: Int] = [:]
    for affinity in 0..<800 {
      let first = select(names.map { candidate($0) }, affinity: UInt64(affinity))
      let again = select(names.reversed().map { candidate($0) }, affinity: UInt64(affinity))
      #expect(first?.decode.id == again?.decode.id)
      if let name = first?.decode.id.value { hits[name, default: 0] += 1 }
    }
    #expect(hits.count == 8 && hits.values.allSatisfy { $0 > 50 }, "\(hits)")
  }

  @Test func prefillGoesToItsTierUnlessLittleIsLeft() {
    let workers = { (cached: Int) in
      [self.candidate("d", cached: CachedPrefix(device: cached)), self.candidate("p", .prefill)]
    }
    #expect(select(workers(0))?.prefill.map(\.id.value) == ["p"])
    #expect(select(workers(90))?.prefill.map(\.id.value) == ["p"], "160 tokens are many")
    #expect(select(workers(92))?.prefill.isEmpty == true, "128 of 1600 are few")
    #expect(select(workers(0), tokens: 100)?.prefill.map(\.id.value) == ["p"], "all of them is a large share")
    #expect(select(workers(4), tokens: 100)?.prefill.isEmpty == true)
    #expect(select(workers(0), tokens: 15)?.prefill.isEmpty == true, "there is no whole block to hand over")
  }

  /// A request may overtake the one whose prefill brings their common beginning: it must not be left to compute that alone.
  @Test func aForeseenPrefixIsNotTakenForACachedOne() {
    let workers = { (isForeseen: Bool, pending: Double) in
      var decode = self.candidate("d", cached: CachedPrefix(device: 96))
      decode.isForeseen = isForeseen
      return [decode, self.candidate("p", .prefill, own: InFlightWork(prefillBlocks: pending))]
    }
    #expect(select(workers(true, 100))?.prefill.map(\.id.value) == ["p"])
    #expect(select(workers(true, 100))?.isPrecaution == true)
    #expect(select(workers(true, 100))?.isDisaggregated == false)
    #expect(select(workers(true, 100), tokens: 1536)?.prefill.map(\.id.value) == ["p"], "nor is the whole prompt")
    #expect(select(workers(true, 100), tokens: 15)?.prefill.isEmpty == true)
    #expect(select(workers(true, 0))?.prefill.isEmpty == true, "no prefill is under way any more")
    #expect(select(workers(false, 100))?.prefill.isEmpty == true, "the directory has confirmed it")
  }

  @Test func prefillWorkersAreRanked() {
    let decision = select([
      candidate("d"), candidate("p1", .prefill, pending: 50), candidate("p2", .prefill, pending: 10),
      candidate("p3", .prefill, cached: CachedPrefix(device: 60), pending: 30), candidate("p4", .prefill, pending: 90),
      candidate("p5", .prefill, layout: "other"), candidate("p6", .prefill, draining: true),
    ])
    #expect(decision?.prefill.map(\.id.value) == ["p3", "p2", "p1"])
    #expect(decision?.costs.filter(\.chosen).map(\.worker.value) == ["d", "p1", "p2", "p3"])
    #expect(decision?.costs.first { $0.worker.value == "p3" }?.predictedCachedBlocks == 60)
    #expect(decision?.missingBlocks == 40)
  }

  @Test func aWorkerOfBothRolesHandsAwayOnlyWhatIsDoneSoonerElsewhere() {
    #expect(select([candidate("b", .both), candidate("p", .prefill)])?.prefill.isEmpty == true)
    #expect(
      select([candidate("b", .both, pending: 100), candidate("p", .prefill)])?.prefill.map(\.id.value) == ["p"])
    #expect(select([candidate("b", .both), candidate("c", .both)])?.prefill.isEmpty == true)
    #expect(select([candidate("b", .both), candidate("d", active: 0)])?.decode != nil)
  }

  @Test func decodeWorkersUseWorkersOfBothRolesWhereThereIsNoPrefillTier() {
    let decision = select([candidate("d"), candidate("b", .both, active: 200)])
    #expect(decision?.decode.id.value == "d")
    #expect(decision?.prefill.map(\.id.value) == ["b"])
  }

  @Test func otherPolicies() {
    let workers = [
      candidate("a", cached: CachedPrefix(device: 100), active: 2), candidate("b", active: 1),
      candidate("c", active: 3),
    ]
    #expect(select(workers, policy: .leastLoaded)?.decode.id.value == "b")
    #expect(
      (0..<6).map { select(workers, policy: .roundRobin, turn: $0)?.decode.id.value } == ["a", "b", "c", "a", "b", "c"])
    let random = Set((0..<50).compactMap { select(workers, policy: .random, turn: $0)?.decode.id.value })
    #expect(random == ["a", "b", "c"])
  }

  /// Neither load nor prefixes nor the prompt's own hash decide: it would not be what other policies are compared with.
  @Test func bothTiersTakeTurns() {
    let workers = [
      candidate("d0"), candidate("d1"), candidate("p0", .prefill, pending: 50),
      candidate("p1", .prefill, cached: CachedPrefix(device: 90)), candidate("p2", .prefill),
    ]
    let turns = (0..<4).map { select(workers, policy: .roundRobin, turn: $0, affinity: 99) }
    #expect(turns.map { $0?.decode.id.value } == ["d0", "d1", "d0", "d1"])
    #expect(
      turns.map { $0?.prefill.map(\.id.value) ?? [] } == [
        ["p0", "p1", "p2"], ["p1", "p2", "p0"], ["p2", "p0", "p1"], ["p0", "p1", "p2"],
      ])
    let random = Set((0..<50).compactMap { select(workers, policy: .random, turn: $0)?.prefill.first?.id.value })
    #expect(random == ["p0", "p1", "p2"])
  }
}
