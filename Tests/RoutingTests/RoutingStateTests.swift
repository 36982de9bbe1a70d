import Directory
import Routing
import ServingTypes
import Testing

/// The router's pure parts: what it remembers and how it counts.
struct RoutingStateTests {
  let start = ContinuousClock.now

  func hashes(_ count: Int, seed: TokenID = 0) -> [BlockHash] {
    BlockHash.chain(tokens: (0..<TokenID(count * 16)).map { $0 &+ seed &* 100_003 }, blockSize: 16, salt: "")
  }

  @Test func theOverlayKnowsWhatWasRouted() {
    var overlay = PrefixOverlay(capacity: 1000)
    let chain = hashes(10)
    let (a, b) = (WorkerID("a"), WorkerID("b"))
    overlay.insert(Array(chain.prefix(4)), worker: a, incarnation: Incarnation(1), now: start)
    overlay.insert(chain, worker: b, incarnation: Incarnation(2), now: start + .seconds(5))
    let lives = [a: Incarnation(1), b: Incarnation(2)]
    #expect(overlay.longestPrefixes(chain, incarnations: lives, since: start) == [a: 4, b: 10])
    #expect(overlay.longestPrefixes(chain, incarnations: lives, since: start + .seconds(1)) == [b: 10])
    #expect(overlay.longestPrefixes(chain, incarnations: [b: Incarnation(3)], since: start).isEmpty)
    #expect(overlay.longestPrefixes(hashes(3, seed: 1), incarnations: lives, since: start).isEmpty)
  }

  @Test func theOverlayIsBounded() {
    var overlay = PrefixOverlay(capacity: 100)
    for seed in 0..<200 {
      overlay.insert(
        hashes(7, seed: TokenID(seed)), worker: WorkerID("a"), incarnation: Incarnation(1),
        now: start + .seconds(seed))
      #expect(overlay.count <= 100)
    }
    let lives = [WorkerID("a"): Incarnation(1)]
    #expect(overlay.longestPrefixes(hashes(7, seed: 199), incarnations: lives, since: start) == [WorkerID("a"): 7])
    #expect(overlay.longestPrefixes(hashes(7, seed: 0), incarnations: lives, since: start).isEmpty)
  }

  @Test func refreshedEntriesOutliveTheirFirstNote() {
    var overlay = PrefixOverlay(capacity: 20)
    let chain = hashes(5)
    for round in 0..<50 {
      overlay.insert(chain, worker: WorkerID("a"), incarnation: Incarnation(1), now: start + .seconds(round))
      overlay.insert(
        hashes(5, seed: TokenID(round + 1)), worker: WorkerID("a"), incarnation: Incarnation(1),
        now: start + .seconds(round))
      #expect(
        overlay.longestPrefixes(chain, incarnations: [WorkerID("a"): Incarnation(1)], since: start)
          == [WorkerID("a"): 5])
    }
  }

  @Test(arguments: 0..<20)
  func theOverlayAgreesWithASearchThroughEverything(_ seed: UInt64) {
    var random = SplitMix64(seed: seed)
    func draw(_ count: Int) -> Int { Int(random.next() % UInt64(count)) }
    func tail(_ count: Int) -> [BlockHash] {
      (0..<count).map { _ in BlockHash(high: random.next(), low: random.next()) }
    }
    let lives = Dictionary(uniqueKeysWithValues: (0..<4).map { (WorkerID("w\($0)"), Incarnation(UInt64($0 / 2))) })
    var overlay = PrefixOverlay(capacity: 1 << 20)
    var routes: [(hashes: [BlockHash], worker: WorkerID)] = []
    for _ in 0..<24 {
      // Most prompts go on from somewhere in an earlier one.
      let known = routes.isEmpty || draw(4) == 0 ? [] : routes[draw(routes.count)].hashes
      let hashes = Array(known.prefix(draw(known.count + 1))) + tail(1 + draw(seed % 2 == 0 ? 30 : 1500))
      let worker = WorkerID("w\(routes.count % 4)")
      overlay.insert(hashes, worker: worker, incarnation: lives[worker] ?? Incarnation(9), now: start)
      routes.append((hashes, worker))
      let query = Array(routes[draw(routes.count)].hashes) + tail(draw(3))
      var expected: [WorkerID: Int] = [:]
      for route in routes {
        let common = zip(route.hashes, query).prefix { $0 == $1 }.count
        if common > 0 { expected[route.worker] = max(expected[route.worker, default: 0], common) }
      }
      #expect(overlay.longestPrefixes(query, incarnations: lives, since: start) == expected)
    }
  }

  @Test func manyRoutesBehindOnePromptStayCheap() {
    var overlay = PrefixOverlay(capacity: 1 << 20)
    let shared = hashes(64)
    let lives = [WorkerID("a"): Incarnation(1), WorkerID("b"): Incarnation(2)]
    overlay.insert(shared, worker: WorkerID("b"), incarnation: Incarnation(2), now: start)
    for seed in 1..<2000 {
      overlay.insert(
        shared + hashes(3, seed: TokenID(seed)), worker: WorkerID("a"), incarnation: Incarnation(1), now: start)
    }
    // One worker's many routes do not push out another's.
    let found = overlay.longestPrefixes(shared, incarnations: lives, since: start)
    #expect(found == [WorkerID("a"): 64, WorkerID("b"): 64])
  }

  @Test func theLedgerBalances() {
    var ledger = InFlightLedger()
    let a = WorkerID("a")
    let first = ledger.begin(InFlightWork(prefillBlocks: 10, activeBlocks: 12), on: a, now: start)
    let second = ledger.begin(InFlightWork(prefillBlocks: 1, activeBlocks: 2), on: a, now: start + .seconds(2))
    #expect(ledger.work(on: a, after: nil).new == InFlightWork(prefillBlocks: 11, activeBlocks: 14))
    #expect(ledger.work(on: a, after: start + .seconds(1)).new == InFlightWork(prefillBlocks: 1, activeBlocks: 2))
    #expect(ledger.work(on: a, after: start + .seconds(1)).all == InFlightWork(prefillBlocks: 11, activeBlocks: 14))
    ledger.finishPrefill(first)
    #expect(ledger.work(on: a, after: nil).all == InFlightWork(prefillBlocks: 1, activeBlocks: 14))
    ledger.end(first)
    ledger.end(first)
    ledger.end(second)
    #expect(ledger.work(on: a, after: nil).all == InFlightWork())
    #expect(ledger.count == 0)
  }

  func record(_ name: String, incarnation: UInt64 = 1, sequence: Int = 0) -> WorkerRecord {
    WorkerRecord(
      reference: WorkerReference(id: WorkerID(name), address: "\(name):1", incarnation: Incarnation(incarnation)),
      role: .decode, model: "m", layoutDigest: "l", blockSize: 16, blockCount: 10, maximumModelLength: 100,
      sequence: sequence)
  }

  @Test func theRosterKeepsAWhileWhatVanished() {
    var roster = Roster(grace: .seconds(10))
    roster.merge([record("a"), record("b")], now: start)
    roster.merge([record("a")], now: start + .seconds(1))
    #expect(roster.workers[WorkerID("b")]?.isLeased == false)
    #expect(roster.workers[WorkerID("b")]?.isDoubtful(at: start) == true)
    roster.merge([record("a"), record("b")], now: start + .seconds(2))
    #expect(roster.workers[WorkerID("b")]?.isLeased == true)
    roster.merge([record("a")], now: start + .seconds(3))
    roster.merge([record("a")], now: start + .seconds(12))
    #expect(roster.workers.count == 2)
    roster.merge([record("a")], now: start + .seconds(14))
    #expect(roster.workers.keys.map(\.value) == ["a"])
  }

  @Test func aLeaseThatNobodyCanCallIsLeftOut() {
    var roster = Roster(grace: .seconds(10))
    var broken = record("b")
    broken.reference = WorkerReference(id: WorkerID("b"), address: "nowhere", incarnation: Incarnation(2))
    roster.merge([record("a"), broken], now: start)
    #expect(roster.workers.keys.map(\.value) == ["a"] && roster.unusable.map(\.value) == ["b"])
    // It was well before: what is known of that life stays a while, as after any lease that is gone.
    roster.merge([record("a"), record("b")], now: start)
    roster.merge([record("a"), broken], now: start)
    #expect(roster.workers[WorkerID("b")]?.isLeased == false)
    roster.merge([record("a")], now: start + .seconds(11))
    #expect(roster.workers.keys.map(\.value) == ["a"] && roster.unusable.isEmpty)
  }

  @Test func suspicionIsOfOneLifeAndEnds() {
    var roster = Roster(grace: .seconds(10))
    let a = WorkerID("a")
    roster.merge([record("a")], now: start)
    roster.suspect(record("a", incarnation: 9).reference, until: start + .seconds(5))
    #expect(roster.workers[a]?.isDoubtful(at: start) == false)
    roster.suspect(record("a").reference, until: start + .seconds(5))
    #expect(roster.workers[a]?.isDoubtful(at: start + .seconds(4)) == true)
    #expect(roster.workers[a]?.isDoubtful(at: start + .seconds(5)) == false)
    roster.merge([record("a", incarnation: 2)], now: start + .seconds(1))
    #expect(roster.workers[a]?.isDoubtful(at: start + .seconds(1)) == false, "a new life is trusted")
  }

  @Test func reportsAreDatedByTheirSequence() {
    var roster = Roster(grace: .seconds(10))
    let a = WorkerID("a")
    roster.merge([record("a", sequence: 1)], now: start)
    roster.merge([record("a", sequence: 1)], now: start + .seconds(1))
    #expect(roster.workers[a]?.reported == start)
    roster.merge([record("a", sequence: 2)], now: start + .seconds(2))
    #expect(roster.workers[a]?.reported == start + .seconds(2))
    // A replica that took over may lag behind.
    roster.merge([record("a", sequence: 1)], now: start + .seconds(3))
    #expect(roster.workers[a]?.reported == start + .seconds(2) && roster.workers[a]?.record.sequence == 2)
    roster.merge([record("a", incarnation: 2, sequence: 1)], now: start + .seconds(4))
    #expect(roster.workers[a]?.record.sequence == 1, "a new life counts anew")
  }

  @Test func progressKeepsWhatWasDelivered() throws {
    var progress = GenerationProgress(samples: 2)
    let first = SampleOutput(
      sample: 0, tokens: [GeneratedToken(id: 5), GeneratedToken(id: 6)], text: "x", finish: .stop)
    #expect(try progress.accept([first]) == [first])
    #expect(progress.generated == [[5, 6], []])
    #expect(!progress.isComplete && progress.hasTokens)
    var again = progress
    #expect(throws: ServingError.self) { try again.accept([SampleOutput(sample: 0, finish: .stop)]) }
    progress.beginStream()
    #expect(try progress.accept([SampleOutput(sample: 0, finish: .stop)]).isEmpty, "a repeated end is no news")
    #expect(throws: ServingError.self) {
      try progress.accept([SampleOutput(sample: 0, tokens: [GeneratedToken(id: 1)])])
    }
    #expect(throws: ServingError.self) { try progress.accept([SampleOutput(sample: 2)]) }
    _ = try progress.accept([SampleOutput(sample: 1, finish: .length)])
    #expect(progress.isComplete && progress.completionTokens == 2 && progress.longestSample == 2)
  }

  @Test func progressOfAPromptsLogprobs() throws {
    let tokens = (0..<5).map { GeneratedToken(id: TokenID($0), logprob: -1) }
    var progress = GenerationProgress(samples: 1, promptLogprobs: 5)
    #expect(try progress.accept(promptLogprobs: Array(tokens[..<2])) == Array(tokens[..<2]))
    var early = progress
    #expect(throws: ServingError.self) { try early.accept([SampleOutput(sample: 0, finish: .stop)]) }
    // Another worker begins again, in other parts.
    progress.beginStream()
    #expect(try progress.accept(promptLogprobs: Array(tokens[..<1])).isEmpty)
    #expect(try progress.accept(promptLogprobs: Array(tokens[1..<4])) == Array(tokens[2..<4]))
    #expect(try progress.accept(promptLogprobs: [tokens[4]]) == [tokens[4]])
    #expect(progress.missingPromptLogprobs == 0 && !progress.isComplete)
    #expect(throws: ServingError.self) { try progress.accept(promptLogprobs: [tokens[4]]) }
    _ = try progress.accept([SampleOutput(sample: 0, finish: .stop)])
    #expect(progress.isComplete)
  }

  @Test func failuresAreClassified() {
    #expect(AttemptFailure(ServingError(.unavailable, ""), isCancelledHere: false) == .lost)
    #expect(AttemptFailure(ServingError(.failedPrecondition, ""), isCancelledHere: false) == .lost)
    #expect(AttemptFailure(ServingError(.resourceExhausted, ""), isCancelledHere: false) == .refused)
    #expect(AttemptFailure(ServingError(.cancelled, ""), isCancelledHere: false) == .lost)
    #expect(AttemptFailure(ServingError(.cancelled, ""), isCancelledHere: true) == .fatal)
    #expect(AttemptFailure(ServingError(.internalError, ""), isCancelledHere: false) == .fatal)
  }

  @Test func updatesAreBoundedAndEndAsTold() async throws {
    let (updates, sink) = GenerationUpdates.makeStream(capacity: 2)
    let received = await withTaskGroup(of: Int.self) { group in
      group.addTask {
        for index in 0..<1000 {
          try? await sink.send(GenerationUpdate(outputs: [SampleOutput(sample: index)]))
        }
        sink.finish(throwing: ServingError(.unavailable, "end"))
        return 0
      }
      group.addTask {
        var count = 0
        do throws(ServingError) {
          for try await update in updates {
            // What waited together comes together.
            for output in update.outputs {
              #expect(output.sample == count)
              count += 1
            }
          }
          Issue.record("the error is missing")
        } catch { #expect(error.code == .unavailable) }
        return count
      }
      return await group.reduce(0, +)
    }
    #expect(received == 1000)
  }

  @Test func aSinkLearnsThatItsReaderIsGone() async throws {
    var (updates, sink): (GenerationUpdates?, GenerationSink)
    (updates, sink) = GenerationUpdates.makeStream(capacity: 1)
    try await sink.send(GenerationUpdate())
    #expect(!sink.isCancelled)
    withExtendedLifetime(updates) {}
    updates = nil
    await sink.waitForCancellation()
    await #expect(throws: ServingError.self) { try await sink.send(GenerationUpdate()) }
  }
}
