import Routing
import ServingTypes
import Testing

/// Whatever happens to workers, the client's text is the text of an undisturbed run.
struct MigrationTests {
  @Test(arguments: 0...12)
  func aStreamThatFailsGoesOnElsewhere(_ messages: Int) async throws {
    let workers = try ["a", "b"].map { try ScriptedWorker($0, script: [.fail(after: messages, .unavailable)]) }
    try await RouterHarness.with(workers) { harness in
      let request = harness.request()
      let answer = try await harness.answer(request)
      try harness.check(answer, request)
      // At the end of everything only the summary is lost, and nothing moves.
      let moves = answer.route?.migrations ?? -1
      #expect(messages == 12 ? moves == 0 : (1...2).contains(moves))
    }
  }

  @Test(arguments: [0, 1, 6, 11])
  func aServerThatDiesIsReplaced(_ messages: Int) async throws {
    let workers = try ["a", "b", "c"].map { try ScriptedWorker($0) }
    for worker in workers.dropLast() { worker.state.withLock { $0.script = [.die(after: messages)] } }
    try await RouterHarness.with(workers) { harness in
      for seed in 0..<6 {
        let request = harness.request("a request numbered \(seed)", seed: UInt64(seed))
        try harness.check(try await harness.answer(request), request)
      }
    }
  }

  /// The prompt has 81 tokens, whose log-probabilities come in 8 messages before the 12 of the answer.
  @Test(arguments: [0, 1, 7, 8, 9, 19, 20])
  func logprobsOfThePromptComeOnce(_ messages: Int) async throws {
    let workers = try ["a", "b"].map {
      try ScriptedWorker($0, script: [.fail(after: messages, .unavailable)])
    }
    let prefill = try ScriptedWorker("p", role: .prefill)
    try await RouterHarness.with(workers + [prefill]) { harness in
      var request = harness.request()
      request.sampling.promptLogprobs = 0
      try harness.check(try await harness.answer(request), request)
      for request in workers.flatMap(\.requests) {
        let isMissing = request.sampling.hasPromptLogprobs
        #expect(isMissing == request.generated.isEmpty || messages == 8, "asked for once more, or not at all")
        #expect(request.prefillCandidates.isEmpty || !isMissing, "what is computed elsewhere tells nothing")
      }
    }
  }

  @Test(arguments: [3, 8]) func logprobsThatAreMissingAreAnError(_ messages: Int) async throws {
    let worker = try ScriptedWorker("a", script: [.leave(after: messages)])
    try await RouterHarness.with([worker]) { harness in
      var request = harness.request()
      request.sampling.promptLogprobs = 0
      let error = await #expect(throws: ServingError.self) { try await harness.answer(request) }
      #expect(error?.code == .internalError)
    }
  }

  @Test(arguments: [1, 4, 20, 30, 34])
  func samplesThatEndedStayEnded(_ messages: Int) async throws {
    let workers = try ["a", "b"].map {
      try ScriptedWorker($0, script: [.fail(after: messages, .aborted), .fail(after: 1, .unavailable)])
    }
    try await RouterHarness.with(workers, configuration: .testing { $0.maximumMigrations = 10 }) { harness in
      let request = harness.request(n: 4, maxTokens: 10)
      try harness.check(try await harness.answer(request), request)
      for generated in workers.flatMap(\.requests).map(\.generated) where !generated.isEmpty {
        #expect(generated.count == 4)
      }
    }
  }

  @Test func aNewIncarnationIsFoundAgain() async throws {
    let worker = try ScriptedWorker("a")
    try await RouterHarness.with([worker], configuration: .testing { $0.refreshInterval = .seconds(3600) }) { harness in
      worker.state.withLock { $0.incarnation = 2 }
      _ = try await harness.directory.renewLease(worker.record, lifetime: .seconds(3600))
      let request = harness.request()
      let answer = try await harness.answer(request)
      try harness.check(answer, request)
      #expect(worker.requests.map(\.expectedIncarnation) == [1, 2])
      #expect(answer.route?.migrations == 1)
    }
  }

  @Test func theOnlyWorkerMayRecover() async throws {
    let worker = try ScriptedWorker("a", script: [.fail(after: 3, .unavailable), .fail(after: 2, .unavailable)])
    try await RouterHarness.with([worker]) { harness in
      let request = harness.request()
      let answer = try await harness.answer(request)
      try harness.check(answer, request)
      #expect(answer.route?.migrations == 2)
      #expect(worker.requests.map { $0.generated.first?.tokens.count ?? 0 } == [0, 3, 5])
    }
  }

  @Test func theBudgetEnds() async throws {
    let script = Array(repeating: ScriptedWorker.Act.fail(after: 0, .unavailable), count: 20)
    let workers = try ["a", "b", "c", "d", "e", "f"].map { try ScriptedWorker($0, script: script) }
    try await RouterHarness.with(workers) { harness in
      let error = await #expect(throws: ServingError.self) { try await harness.answer(harness.request()) }
      #expect(error?.code == .unavailable)
      #expect(workers.reduce(0) { $0 + $1.requests.count } == 4)
    }
  }

  /// A request that gets on is not given up, however often its workers die.
  @Test func tokensGiveTheTriesBack() async throws {
    let script = Array(repeating: ScriptedWorker.Act.fail(after: 1, .unavailable), count: 20)
    let workers = try ["a", "b", "c"].map { try ScriptedWorker($0, script: script) }
    try await RouterHarness.with(workers, configuration: .testing { $0.maximumMigrations = 1 }) { harness in
      let request = harness.request()
      let answer = try await harness.answer(request)
      try harness.check(answer, request)
      #expect(answer.route?.migrations == 11)
    }
  }

  @Test func allTriesTogetherAreLimited() async throws {
    let script = Array(repeating: ScriptedWorker.Act.fail(after: 1, .unavailable), count: 20)
    let workers = try ["a", "b", "c"].map { try ScriptedWorker($0, script: script) }
    try await RouterHarness.with(workers, configuration: .testing { $0.maximumReopenings = 5 }) { harness in
      let error = await #expect(throws: ServingError.self) { try await harness.answer(harness.request()) }
      #expect(error?.code == .unavailable)
      #expect(workers.reduce(0) { $0 + $1.requests.count } == 6)
    }
  }

  /// A worker that leaves gives its requests up in good order: no stream is lost, and no try.
  @Test func aWorkerThatLeavesCostsNoTry() async throws {
    let workers = try ["a", "b"].map {
      try ScriptedWorker($0, script: [.fail(after: 0, .aborted), .fail(after: 2, .aborted), .fail(after: 0, .aborted)])
    }
    try await RouterHarness.with(workers, configuration: .testing { $0.maximumMigrations = 0 }) { harness in
      let request = harness.request()
      let answer = try await harness.answer(request)
      try harness.check(answer, request)
      #expect(harness.metrics.exposition().contains("baton_router_lost_streams_total 0"))
    }
  }

  @Test func deliveredTokensNeverMeetAnotherLayout() async throws {
    let first = try ScriptedWorker("a", layoutDigest: "one", script: [.fail(after: 2, .unavailable)])
    let other = try ScriptedWorker("b", layoutDigest: "two", script: [.fail(after: 2, .unavailable)])
    try await RouterHarness.with([first, other]) { harness in
      let request = harness.request()
      let answer = try await harness.answer(request)
      try harness.check(answer, request)
      let used = [first, other].filter { !$0.requests.isEmpty }
      #expect(used.count == 1, "the request stayed with its layout")
    }
  }

  @Test func refusalsInTheMiddleOnlyDelay() async throws {
    let workers = try ["a", "b"].map {
      try ScriptedWorker($0, script: [.fail(after: 5, .unavailable), .refuse, .refuse])
    }
    try await RouterHarness.with(workers) { harness in
      let request = harness.request()
      try harness.check(try await harness.answer(request), request)
    }
  }

  @Test func refusalsInTheMiddleDoNotGoOnForEver() async throws {
    let worker = try ScriptedWorker(
      "a", script: [.fail(after: 5, .unavailable)] + [ScriptedWorker.Act](repeating: .refuse, count: 10_000))
    try await RouterHarness.with(
      [worker],
      configuration: .testing {
        $0.migrationWait = .milliseconds(300)
        // What goes on for ever ends with another error.
        $0.requestTimeout = .seconds(20)
      }
    ) { harness in
      let error = await #expect(throws: ServingError.self) { try await harness.answer(harness.request()) }
      #expect(error?.code == .unavailable, "\(String(describing: error))")
      #expect(worker.requests.count < 100)
    }
  }

  /// Even to a request that has no try left.
  @Test func aLeaseWithoutAUsableAddressCostsNothing() async throws {
    let worker = try ScriptedWorker("b", script: [.fail(after: 5, .unavailable), .fail(after: 1, .unavailable)])
    try await RouterHarness.with([worker], configuration: .testing { $0.maximumMigrations = 2 }) { harness in
      var record = worker.record
      record.reference = WorkerReference(id: WorkerID("a"), address: "nowhere", incarnation: Incarnation(1))
      _ = try await harness.directory.renewLease(record, lifetime: .seconds(3600))
      for _ in 0..<2 { await harness.router.registry.refresh() }
      #expect(harness.router.workers.map(\.record.id.value) == ["b"])
      let request = harness.request()
      let answer = try await harness.answer(request)
      try harness.check(answer, request)
      #expect(answer.route?.migrations == 2)
    }
  }

  @Test(arguments: 1...8)
  func chaos(_ seed: UInt64) async throws {
    var state = seed
    func draw(_ bound: Int) -> Int {
      state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      return Int((state >> 33) % UInt64(bound))
    }
    let workers = try (0..<5).map { index in
      let script = (0..<12).map { _ -> ScriptedWorker.Act in
        switch draw(5) {
        case 0: .fail(after: draw(14), .unavailable)
        case 1: .fail(after: draw(14), .aborted)
        case 2: .refuse
        case 3: .omitSummary
        default: .serve
        }
      }
      return try ScriptedWorker("w\(index)", script: script)
    }
    workers[0].state.withLock { $0.script.insert(.die(after: draw(6)), at: draw(3)) }
    try await RouterHarness.with(
      workers,
      configuration: .testing {
        $0.maximumMigrations = 100
        $0.maximumRefusals = 100
      }
    ) { harness in
      try await withThrowingTaskGroup(of: (GenerationRequest, RouterHarness.Answer?).self) { group in
        for index in 0..<24 {
          let request = harness.request(
            "chaos \(seed) request \(index % 5) " + String(repeating: "x", count: index * 7), n: 1 + index % 3,
            seed: UInt64(index))
          group.addTask {
            do { return (request, try await harness.answer(request)) } catch let error as ServingError {
              // All of them may refuse at the same time; that is a plain error and no answer.
              guard error.code == .resourceExhausted else { throw error }
              return (request, nil)
            }
          }
        }
        for try await (request, answer) in group {
          if let answer { try harness.check(answer, request) }
        }
      }
    }
  }
}
