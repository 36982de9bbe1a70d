import Directory
import Routing
import ServingTypes
import Testing

struct RequestRouterTests {
  @Test func forwardsAnAnswer() async throws {
    let worker = try ScriptedWorker("a")
    try await RouterHarness.with([worker]) { harness in
      var request = harness.request(n: 3)
      request.id = RequestID("my-id")
      request.tenant = "t"
      request.cacheSalt = "s"
      request.priority = -4
      request.explain = true
      let generation = try await harness.router.generate(request)
      #expect(generation.head.requestID == RequestID("my-id"))
      #expect(generation.head.model == "bytes")
      #expect(generation.head.promptTokens.first == 256)
      generation.updates.cancel()
      let answer = try await harness.answer(request)
      try harness.check(answer, request)
      #expect(answer.usage?.cachedTokens == 3)
      #expect(answer.route?.decode == worker.record.reference)
      #expect(answer.route?.migrations == 0)
      #expect(answer.route?.candidates.map(\.worker) == [worker.id])
      let seen = try #require(worker.requests.last)
      #expect(seen.requestID == "my-id" && seen.tenant == "t" && seen.cacheSalt == "s" && seen.priority == -4)
      #expect(seen.expectedIncarnation == 1)
      #expect(seen.generated.isEmpty)
    }
  }

  @Test func assignsSeedAndIdentifier() async throws {
    let worker = try ScriptedWorker("a")
    try await RouterHarness.with([worker]) { harness in
      var request = harness.request()
      request.sampling.seed = nil
      _ = try await harness.answer(request)
      _ = try await harness.answer(request)
      let seen = worker.requests
      #expect(seen.allSatisfy { $0.sampling.hasSeed })
      #expect(Set(seen.map(\.sampling.seed)).count == 2)
      #expect(Set(seen.map(\.requestID)).count == 2)
    }
  }

  @Test func refusesWhatNobodyCouldServe() async throws {
    try await RouterHarness.with([try ScriptedWorker("a")]) { harness in
      func code(_ change: (inout GenerationRequest) -> Void) async -> (ServingError.Code, String)? {
        var request = harness.request()
        change(&request)
        do throws(ServingError) {
          _ = try await harness.router.generate(request)
          return nil
        } catch { return (error.code, error.message) }
      }
      let unknown = await code { $0.model = "other" }
      #expect(unknown?.0 == .notFound && unknown?.1.contains("'bytes'") == true)
      #expect(await code { $0.prompt = .tokens([]) }?.0 == .invalidArgument)
      #expect(await code { $0.prompt = .tokens([1, 999]) }?.0 == .invalidArgument)
      #expect(await code { $0.prompt = .tokens([-1]) }?.0 == .invalidArgument)
      #expect(await code { $0.prompt = .tokens(Array(repeating: 1, count: 4096)) }?.0 == .invalidArgument)
      let unread = await code { $0.prompt = .text(String(repeating: "x", count: 4096 * 64 + 1)) }
      #expect(unread?.0 == .invalidArgument)
      #expect(unread?.1.contains("262145 bytes") == true, "refused before it is tokenised")
      #expect(await code { $0.prompt = .chat([]) }?.0 == .invalidArgument)
      #expect(await code { $0.sampling.temperature = .nan }?.0 == .invalidArgument)
      #expect(await code { $0.sampling.n = 0 }?.0 == .invalidArgument)
      #expect(await code { $0.priority = Int.max }?.0 == .invalidArgument)
      #expect(await code { $0.deadline = .now - .seconds(1) }?.0 == .deadlineExceeded)
    }
  }

  /// A worker holds them all until the prompt is computed.
  @Test func logprobsOfThePromptAreLimited() {
    let model = ServedModel(name: "bytes", tokenizer: ByteTokenizer(), chatTemplate: nil, contextLength: 100_000)
    for (count, isRefused) in [(12_000, false), (13_000, true)] {
      let request = GenerationRequest(
        prompt: .tokens(Array(repeating: 1, count: count)), sampling: SamplingParameters(promptLogprobs: 20))
      let error: ServingError?
      do throws(ServingError) {
        _ = try PreparedRequest(request, models: [model], blockSizes: [16], timeout: .seconds(1), now: .now)
        error = nil
      } catch let refusal { error = refusal }
      #expect((error?.code == .invalidArgument && error?.message.contains("273000 entries") == true) == isRefused)
    }
  }

  @Test func saysWhenThereIsNoWorker() async throws {
    try await RouterHarness.with([]) { harness in
      let error = await #expect(throws: ServingError.self) { try await harness.router.generate(harness.request()) }
      #expect(error?.code == .unavailable)
      #expect(error?.retryAfter != nil)
    }
  }

  @Test func aPromptThatNoWorkerHoldsIsTheClientsMistake() async throws {
    try await RouterHarness.with([try ScriptedWorker("a", contextLength: 32)]) { harness in
      var long = harness.request()
      long.prompt = .tokens(Array(repeating: 1, count: 40))
      let request = long
      let error = await #expect(throws: ServingError.self) { try await harness.router.generate(request) }
      #expect(error?.code == .invalidArgument)
      #expect(error?.message.contains("40 tokens") == true && error?.message.contains("32 tokens") == true)
    }
  }

  @Test func anotherWorkerTakesWhatOneRefuses() async throws {
    let first = try ScriptedWorker("a", script: Array(repeating: .refuse, count: 10))
    let second = try ScriptedWorker("b", script: Array(repeating: .refuse, count: 10))
    let third = try ScriptedWorker("c")
    try await RouterHarness.with([first, second, third]) { harness in
      for seed in 0..<5 {
        let request = harness.request("request \(seed) of some length", seed: UInt64(seed))
        let answer = try await harness.answer(request)
        try harness.check(answer, request)
        #expect(answer.route?.migrations == 0, "a refusal is no migration")
      }
    }
  }

  @Test func allRefusingIsOverload() async throws {
    let workers = try ["a", "b"].map { try ScriptedWorker($0, script: Array(repeating: .refuse, count: 10)) }
    try await RouterHarness.with(workers) { harness in
      let error = await #expect(throws: ServingError.self) { try await harness.router.generate(harness.request()) }
      #expect(error?.code == .resourceExhausted)
      #expect(error?.retryAfter == .milliseconds(1234))
      #expect(workers.map(\.requests.count) == [1, 1])
    }
  }

  @Test func inFlightRequestsAreLimited() async throws {
    let worker = try ScriptedWorker("a", script: Array(repeating: .hang(after: 1), count: 2))
    try await RouterHarness.with([worker], configuration: .testing { $0.maximumInFlight = 2 }) { harness in
      let first = try await harness.router.generate(harness.request())
      let second = try await harness.router.generate(harness.request())
      let error = await #expect(throws: ServingError.self) { try await harness.router.generate(harness.request()) }
      #expect(error?.code == .resourceExhausted)
      first.updates.cancel()
      second.updates.cancel()
      await eventually("not freed") { harness.router.inFlight == 0 }
      try harness.check(try await harness.answer(harness.request()), harness.request())
    }
  }

  @Test func aFatalErrorIsNotRetried() async throws {
    let codes: [ServingError.Code] = [.invalidArgument, .internalError, .dataLoss, .unimplemented]
    let worker = try ScriptedWorker("a", script: codes.map { .fail(after: 0, $0) })
    try await RouterHarness.with([worker]) { harness in
      for code in codes {
        let error = await #expect(throws: ServingError.self) { try await harness.router.generate(harness.request()) }
        #expect(error?.code == code)
      }
      #expect(worker.requests.count == codes.count)
    }
  }

  @Test(arguments: [0, 1, 5, 11])
  func aGoodStatusWithMissingTextIsAnError(_ messages: Int) async throws {
    let worker = try ScriptedWorker("a", script: [.leave(after: messages)])
    try await RouterHarness.with([worker]) { harness in
      let error = await #expect(throws: ServingError.self) { try await harness.answer(harness.request()) }
      #expect(error?.code == .internalError)
    }
  }

  /// Whichever way the answer goes: nobody can trust the rest of it, and nobody else would say otherwise.
  @Test(arguments: 0...3) func aWorkerThatBreaksTheProtocolEndsTheRequest(after: Int) async throws {
    let worker = try ScriptedWorker("a", script: Array(repeating: .babble(after: after), count: 4))
    try await RouterHarness.with([worker]) { harness in
      for turn in 1...4 {
        let error = await #expect(throws: ServingError.self) { _ = try await harness.answer(harness.request()) }
        #expect(error?.code == .internalError && error?.message.contains("sample 99") == true)
        #expect(worker.requests.count == turn && harness.router.inFlight == 0)
      }
      let request = harness.request()
      try harness.check(try await harness.answer(request), request)
    }
  }

  @Test func aMissingSummaryIsMadeUpFor() async throws {
    let worker = try ScriptedWorker("a", script: [.omitSummary])
    try await RouterHarness.with([worker]) { harness in
      let request = harness.request(n: 2)
      let answer = try await harness.answer(request)
      try harness.check(answer, request)
      #expect(worker.requests.count == 1)
      #expect(answer.route?.decode == worker.record.reference)
    }
  }

  @Test func deadlinesEndRequests() async throws {
    let worker = try ScriptedWorker("a", script: [.hang(after: 3)])
    try await RouterHarness.with([worker]) { harness in
      var request = harness.request()
      request.deadline = .now + .seconds(2)
      let error = await #expect(throws: ServingError.self) { try await harness.answer(request) }
      #expect(error?.code == .deadlineExceeded)
      await eventually("the worker goes on") { worker.state.withLock { $0.active == 0 } }
    }
  }

  @Test func cancellingTheReaderCancelsTheWorker() async throws {
    let worker = try ScriptedWorker("a", script: [.hang(after: 4)])
    try await RouterHarness.with([worker]) { harness in
      await withTaskGroup(of: Void.self) { group in
        group.addTask { _ = try? await harness.answer(harness.request()) }
        await eventually("no tokens") { worker.state.withLock { $0.sent == 4 } }
        group.cancelAll()
      }
      await eventually("the worker was not cancelled") { worker.state.withLock { $0.cancelled == 1 && $0.active == 0 } }
    }
  }

  @Test func cancellingBeforeTheFirstTokenCancelsTheWorker() async throws {
    let worker = try ScriptedWorker("a", script: [.hang(after: 0)])
    try await RouterHarness.with([worker]) { harness in
      await withTaskGroup(of: Void.self) { group in
        group.addTask { _ = try? await harness.router.generate(harness.request()) }
        await eventually("no call") { worker.state.withLock { $0.active == 1 } }
        group.cancelAll()
      }
      await eventually("the worker was not cancelled") { worker.state.withLock { $0.cancelled == 1 } }
    }
  }

  @Test func lettingGoOfTheAnswerCancelsTheWorker() async throws {
    let worker = try ScriptedWorker("a", script: [.hang(after: 2)])
    try await RouterHarness.with([worker]) { harness in
      _ = try await harness.router.generate(harness.request())
      await eventually("the worker was not cancelled") { worker.state.withLock { $0.cancelled == 1 } }
    }
  }

  @Test func aSlowReaderHoldsTheWorkerBack() async throws {
    let worker = try ScriptedWorker("a")
    try await RouterHarness.with([worker], configuration: .testing { $0.updateBacklog = 2 }) { harness in
      let request = harness.request(maxTokens: 2000)
      let generation = try await harness.router.generate(request)
      var tokens: [TokenID] = []
      for try await update in generation.updates {
        tokens += update.outputs.flatMap { $0.tokens.map(\.id) }
        if tokens.count % 100 == 0 { await Task.yield() }
      }
      #expect(
        tokens
          == ScriptedWorker.answer(prompt: generation.head.promptTokens, sample: 0, seed: 7, count: 2000))
    }
  }

  @Test func fixedWorkersNeedNoDirectory() async throws {
    let workers = try ["a", "b"].map { try ScriptedWorker($0) }
    try await RouterHarness.with(workers, static: true) { harness in
      for seed in 0..<4 {
        let request = harness.request("fixed \(seed)", seed: UInt64(seed))
        try harness.check(try await harness.answer(request), request)
      }
    }
  }

  @Test func aDirectoryThatIsAwayCostsNoAnswer() async throws {
    let workers = try ["a", "b"].map { try ScriptedWorker($0) }
    try await RouterHarness.with(workers) { harness in
      harness.directory.isOpen = false
      let text = String(repeating: "a prompt of several blocks ", count: 8)
      var places = Set<WorkerID>()
      for seed in 0..<6 {
        let request = harness.request(text, seed: UInt64(seed))
        let answer = try await harness.answer(request)
        try harness.check(answer, request)
        if let worker = answer.route?.decode?.id { places.insert(worker) }
      }
      #expect(places.count == 1, "the router remembers where it sent the prefix")
      harness.directory.isOpen = true
      let text2 = harness.metrics.exposition()
      #expect(text2.contains("baton_directory_lookup_errors_total 6"))
      #expect(text2.contains("baton_router_requests_total{status=\"ok\"} 6"))
      #expect(text2.contains("baton_router_in_flight"))
    }
  }

  @Test func aDirectoryThatForgotAllCostsNoAnswer() async throws {
    let worker = try ScriptedWorker("a")
    try await RouterHarness.with([worker]) { harness in
      try await harness.directory.withdrawLease(worker.record.reference)
      await eventually("still leased") { harness.router.workers.allSatisfy { !$0.isLeased } }
      let request = harness.request()
      try harness.check(try await harness.answer(request), request)
    }
  }

  @Test func announcedPrefixesDrawRequests() async throws {
    let workers = try ["a", "b", "c", "d"].map { try ScriptedWorker($0) }
    try await RouterHarness.with(workers) { harness in
      for (index, worker) in workers.enumerated() {
        let text = String(repeating: "prefix \(index) ", count: 20)
        let tokens = ByteTokenizer().encode(text, parseSpecial: true, addSpecial: true)
        let hashes = BlockHash.chain(tokens: tokens, blockSize: 16, salt: "")
        try await harness.directory.announce(
          hashes.enumerated().map { CachedBlock(hash: $1, chain: hashes[0], depth: $0) },
          as: AnnouncingWorker(worker: worker.id, incarnation: Incarnation(1), epoch: 0, layoutDigest: "layout"),
          lifetime: .seconds(600))
        let answer = try await harness.answer(harness.request(text))
        #expect(answer.route?.decode?.id == worker.id)
      }
    }
  }

  @Test func prefillWorkersAreNamedInOrder() async throws {
    let decode = try ScriptedWorker("d", role: .decode)
    let prefill = try ["p1", "p2", "p3", "p4"].map { try ScriptedWorker($0, role: .prefill) }
    try await RouterHarness.with([decode] + prefill) { harness in
      _ = try await harness.answer(harness.request(String(repeating: "a long prompt ", count: 40)))
      _ = try await harness.answer(harness.request("short"))
      #expect(decode.requests[0].prefillCandidates.count == 3)
      #expect(Set(decode.requests[0].prefillCandidates.map(\.id)).isSubset(of: ["p1", "p2", "p3", "p4"]))
      #expect(decode.requests[0].prefillCandidates.allSatisfy { $0.incarnation == 1 && !$0.address.isEmpty })
      #expect(decode.requests[1].prefillCandidates.isEmpty, "less than a block is not handed over")
      #expect(prefill.allSatisfy { $0.requests.isEmpty })
    }
  }

  @Test func aDeadlineOfTheCallersIsCutToTheRoutersOwn() async throws {
    let worker = try ScriptedWorker("a", script: [.hang(after: 3)])
    try await RouterHarness.with([worker], configuration: .testing { $0.requestTimeout = .milliseconds(500) }) {
      harness in
      var request = harness.request()
      request.deadline = .now + .seconds(3600)
      let asked = request
      let error = await #expect(throws: ServingError.self) { try await harness.answer(asked) }
      #expect(error?.code == .deadlineExceeded)
    }
  }

  @Test func whatDoesNotEndInTimeIsGivenUpByADrain() async throws {
    let worker = try ScriptedWorker("a", script: [.hang(after: 2)])
    try await RouterHarness.with([worker]) { harness in
      #expect(harness.router.unreadyReason == nil && harness.router.isLive(within: .seconds(60)))
      let generation = try await harness.router.generate(harness.request())
      await harness.router.drain(timeout: .milliseconds(50))
      #expect(harness.router.inFlight == 0 && harness.router.unreadyReason == "draining")
      let error = await #expect(throws: ServingError.self) { for try await _ in generation.updates {} }
      #expect(error?.code == .unavailable && error?.retryAfter != nil)
    }
  }

  @Test func everyRefusalSaysWhenToTryAgain() async throws {
    let workers = try ["a", "b"].map {
      try ScriptedWorker($0, script: Array(repeating: .fail(after: 0, .unavailable), count: 20))
    }
    try await RouterHarness.with(workers) { harness in
      let error = await #expect(throws: ServingError.self) { try await harness.answer(harness.request()) }
      #expect(error?.code == .unavailable && error?.retryAfter != nil)
    }
  }

  @Test func drainingTakesNothingNew() async throws {
    try await RouterHarness.with([try ScriptedWorker("a")]) { harness in
      await harness.router.drain(timeout: .seconds(60))
      let error = await #expect(throws: ServingError.self) { try await harness.router.generate(harness.request()) }
      #expect(error?.code == .unavailable)
    }
  }
}
