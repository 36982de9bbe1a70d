import Directory
import Routing
import ServingTypes
import Testing

/// Who is named as a holder of prefix blocks, and what that does to the choice of workers.
struct HolderTests {
  func candidate(
    _ name: String, _ role: WorkerRole = .decode, cached: Int = 0, lendable: Int? = nil, active: Int = 0,
    layout: String = "l", doubtful: Bool = false, draining: Bool = false, length: Int = 4096, model: String = "m"
  ) -> WorkerCandidate {
    var record = WorkerRecord(
      reference: WorkerReference(id: WorkerID(name), address: name, incarnation: Incarnation(3)), role: role,
      model: model, layoutDigest: layout, blockSize: 16, blockCount: 10_000, maximumModelLength: length,
      // A block in use counts an eighth.
      load: WorkerLoad(activeBlocks: active * 8))
    record.isDraining = draining
    return WorkerCandidate(
      record: record, cached: CachedPrefix(device: cached), lendableBlocks: lendable, isDoubtful: doubtful)
  }

  func select(
    _ candidates: [WorkerCandidate], computesWholePrompt: Bool = false,
    _ change: (inout RoutingConfiguration) -> Void = { _ in }
  ) -> RoutingDecision? {
    var configuration = RoutingConfiguration()
    change(&configuration)
    return WorkerSelector(configuration: configuration).select(
      candidates, for: SelectionQuery(model: "m", tokens: 1600, computesWholePrompt: computesWholePrompt))
  }

  func names(_ decision: RoutingDecision?) -> [String: Int]? {
    decision.map { Dictionary(uniqueKeysWithValues: $0.holders.map { ($0.worker.id.value, $0.blocks) }) }
  }

  @Test func thoseThatHoldMostAreNamed() {
    let workers = [
      candidate("d1", cached: 90), candidate("d2", cached: 60), candidate("d3", cached: 80, active: 100),
      candidate("p1", .prefill), candidate("p2", .prefill, cached: 40), candidate("p3", .prefill, cached: 3),
    ]
    let decision = select(workers)
    #expect(decision?.decode.id.value == "d1")
    #expect(decision?.prefill.map(\.id.value) == ["p2", "p3", "p1"])
    #expect(
      decision?.holders == [
        BlockHolder(worker: workers[2].record.reference, blocks: 80),
        BlockHolder(worker: workers[1].record.reference, blocks: 60),
        BlockHolder(worker: workers[4].record.reference, blocks: 40),
      ])
    #expect(names(select(workers) { $0.maximumHolders = 1 }) == ["d3": 80])
    #expect(names(select(workers) { $0.maximumHolders = 0 }) == [:])
    #expect(names(select(workers) { $0.policy = .leastLoaded }) == [:])
    #expect(names(select(workers, computesWholePrompt: true)) == [:])
  }

  /// Whoever takes no requests, or not this one, may lend all the same, and is not chosen.
  @Test func whoTakesNoRequestLends() {
    let workers = [
      candidate("d1"), candidate("p1", .prefill), candidate("leaving", cached: 90, draining: true),
      candidate("short", .prefill, cached: 80, length: 1500), candidate("another", cached: 95, model: "other"),
    ]
    let decision = select(workers)
    #expect(decision?.decode.id.value == "d1" && decision?.prefill.map(\.id.value) == ["p1"])
    #expect(names(decision) == ["leaving": 90, "short": 80])
    #expect(decision?.costs.map(\.worker.value) == ["d1", "p1"])
    #expect(decision?.costs.last?.predictedFetchableBlocks == 90)
    #expect(select(workers.filter { $0.record.id.value == "leaving" }) == nil)
    #expect(names(select(workers, computesWholePrompt: true)) == [:])
  }

  @Test func whoCannotGiveIsNotNamed() {
    let decision = select([
      candidate("d1", active: 1), candidate("foreseen", cached: 90, lendable: 0, active: 500),
      candidate("other", cached: 90, layout: "other", doubtful: true),
      candidate("doubtful", cached: 90, active: 500, doubtful: true), candidate("little", cached: 3, active: 500),
      candidate("p1", .prefill),
    ])
    #expect(decision?.decode.id.value == "d1")
    #expect(names(decision) == [:])
    #expect(decision?.costs.allSatisfy { $0.predictedFetchableBlocks == 0 } == true)
  }

  /// Nobody is named that has no more than whoever computes.
  @Test func whoHoldsNoMoreIsNotNamed() {
    let workers = [candidate("d1", cached: 50), candidate("d2", cached: 42), candidate("p1", .prefill, cached: 40)]
    #expect(names(select(workers)) == [:])
    #expect(names(select(workers) { $0.fetchMinBlocks = 2 }) == ["d2": 42])
  }

  /// A transfer costs less than computing and more than a block of one's own.
  @Test func whatCanBeFetchedCostsLess() {
    let workers = [
      candidate("d1", cached: 80), candidate("p1", .prefill), candidate("p2", .prefill, cached: 60, active: 100),
    ]
    let costs = Dictionary(
      uniqueKeysWithValues: (select(workers)?.costs ?? []).map { ($0.worker.value, $0) })
    #expect(costs["p1"]?.cost == 60 && costs["p1"]?.predictedFetchableBlocks == 80)
    #expect(costs["p2"]?.cost == 30 && costs["p2"]?.predictedFetchableBlocks == 20)
    #expect(costs["d1"]?.cost == 20 && costs["d1"]?.predictedFetchableBlocks == 0)
    #expect(select(workers)?.missingBlocks == 20)
    let without = select(workers) { $0.fetchBlockCost = 1 }
    #expect(without?.costs.first { $0.worker.value == "p1" }?.cost == 100)
  }

  /// Decode workers get what they lack by the hand-off, wherever it is computed: their own cache alone draws them.
  @Test func decodeWorkersAreChosenByTheirOwnCache() {
    let decision = select([
      candidate("d1", cached: 30), candidate("d2", active: 29), candidate("p1", .prefill, cached: 99),
    ])
    #expect(decision?.costs.first { $0.worker.value == "d2" }?.cost == 129)
    #expect(decision?.decode.id.value == "d1")
  }

  @Test func workersOfBothRolesFetchFromEachOther() {
    let decision = select([candidate("b1", .both, cached: 90, active: 60), candidate("b2", .both)])
    #expect(decision?.decode.id.value == "b2", "10 + 60 against 100 − 45")
    #expect(names(decision) == ["b1": 90])
  }

  @Test func theRequestNamesThem() async throws {
    let workers = [try ScriptedWorker("d1"), try ScriptedWorker("d2"), try ScriptedWorker("p1", role: .prefill)]
    try await RouterHarness.with(workers) { harness in
      let text = String(repeating: "x", count: 700)
      let request = harness.request(text)
      let tokens = ByteTokenizer().encode(text, parseSpecial: true, addSpecial: true)
      let hashes = BlockHash.chain(tokens: tokens, blockSize: 16, salt: "")
      func announce(_ worker: ScriptedWorker, _ count: Int) async throws {
        try await harness.directory.announce(
          hashes.prefix(count).enumerated().map { CachedBlock(hash: $1, chain: hashes[0], depth: $0) },
          as: AnnouncingWorker(
            worker: worker.id, incarnation: Incarnation(1), epoch: 0, layoutDigest: worker.layoutDigest),
          lifetime: .seconds(3600))
      }
      try await announce(workers[0], 30)
      try await announce(workers[1], 20)
      let answer = try await harness.answer(request)
      try harness.check(answer, request)
      #expect(workers[1].requests.isEmpty)
      let seen = try #require(workers[0].requests.first)
      #expect(seen.prefillCandidates.map(\.id) == ["p1"])
      #expect(seen.holders.map(\.worker.id) == ["d2"] && seen.holders.map(\.blocks) == [20])
      #expect(seen.holders.first?.worker.incarnation == 1)
    }
  }
}
