import DecodeServer
import Engine
import RPC
import ServingProtos
import ServingTestKit
import ServingTypes
import Testing

/// Prefixes that workers fetch from each other over real connections: the same tokens, and less to compute.
@Suite struct FetchEndToEndTests {
  /// Computing is dearer than fetching.
  static let cost = SimulatedExecutor.Cost(token: .microseconds(300))

  static func options(_ role: WorkerRole, fetchTimeout: Duration = .seconds(30)) -> WorkerOptions {
    var options = WorkerOptions(role: role)
    options.cost = cost
    options.engine.fetchTimeout = fetchTimeout
    return options
  }

  static func holder(_ worker: TestWorker, blocks: Int = 100) -> Baton_V1_BlockHolder {
    .with {
      $0.worker = worker.reference
      $0.blocks = UInt32(blocks)
    }
  }

  /// The next turn of a conversation: all that was said, and a question.
  static func next(_ request: Baton_V1_DecodeRequest, _ answer: Answer, seed: Int) -> Baton_V1_DecodeRequest {
    var next = request
    next.requestID = RequestID.random().value
    next.promptTokens += wireTokens(answer.tokens[0] + prompt(20, seed: seed))
    return next
  }

  /// The decode worker generated the last answer; the prefill worker, which has the prompt alone, fetches it from there.
  @Test func aPrefillWorkerFetchesTheLastAnswerFromTheDecodeWorker() async throws {
    let first = decodeRequest(prompt(100), maxTokens: 90)
    try await withWorkers([Self.options(.prefill), Self.options(.decode)]) { workers, channels in
      var request = first
      request.prefillCandidates = [workers[0].reference]
      let answer = try await ask(workers[1], request, channels)
      #expect(answer.route.fetchedBlocks == 0)
      let second = Self.next(request, answer, seed: 3)
      let expected = try await alone(second)
      let computed = workers[0].engine.statistics.computedPromptTokens
      let again = try await ask(workers[1], second, channels)
      #expect(again.tokens == expected)
      #expect(again.route.fetchedBlocks >= 4)
      #expect(again.last.timeline.fetchSeconds > 0)
      #expect(again.route.prefillCachedTokens == 96)
      #expect(workers[0].engine.statistics.computedPromptTokens - computed < 48)
      #expect(again.last.usage.cachedTokens > 160)
      #expect(workers[0].engine.statistics.fetches.completed == 1)
    }
  }

  /// A worker that computes a prompt itself fetches as well, and so does one that no prefill worker could help.
  @Test(arguments: [true, false]) func aDecodeWorkerFetchesFromAnother(isFallback: Bool) async throws {
    let plain = decodeRequest(prompt(200))
    let expected = try await alone(plain)
    try await withWorkers([Self.options(.decode), Self.options(.decode)]) { workers, channels in
      _ = try await ask(workers[0], plain, channels)
      var request = plain
      // It is not asked itself.
      request.holders = [Self.holder(workers[1]), Self.holder(workers[0])]
      if isFallback {
        request.prefillCandidates = [
          .with {
            $0.id = "nobody"
            $0.address = "127.0.0.1:1"
          }
        ]
      }
      let answer = try await ask(workers[1], request, channels)
      #expect(answer.tokens == expected)
      #expect(answer.route.fetchedBlocks == 12)
      #expect(answer.route.computedTokens == 8)
      #expect(workers[1].engine.statistics.fetches.completed == 1)
      let text = workers[1].metrics.exposition()
      for name in [
        "baton_fetches_total 1", "baton_fetch_blocks_total 12", "baton_fetch_failures_total{reason=\"slow\"} 0",
      ] {
        #expect(text.contains(name), "\(name)")
      }
    }
  }

  /// A prefill worker fetches from another prefill worker, which the router named, and hands everything over.
  @Test func aPrefillWorkerFetchesFromAnother() async throws {
    let plain = decodeRequest(prompt(200))
    let expected = try await alone(plain)
    let options = [Self.options(.prefill), Self.options(.prefill), Self.options(.decode), Self.options(.decode)]
    try await withWorkers(options) { workers, channels in
      var request = plain
      request.prefillCandidates = [workers[0].reference]
      _ = try await ask(workers[2], request, channels)
      request.prefillCandidates = [workers[1].reference]
      request.holders = [Self.holder(workers[0])]
      let answer = try await ask(workers[3], request, channels)
      #expect(answer.tokens == expected)
      #expect(answer.route.fetchedBlocks == 12 && answer.route.transferredBlocks == 13)
      #expect(workers[1].engine.statistics.computedPromptTokens == 8)
      #expect(workers[3].engine.statistics.computedPromptTokens == 0)
    }
  }

  /// The holder that knows most goes first; what it lost meanwhile comes from the next.
  @Test func theNextHolderGivesTheRest() async throws {
    let plain = decodeRequest(prompt(200))
    let short = decodeRequest(prompt(100))
    let expected = try await alone(plain)
    let options = [Self.options(.decode), Self.options(.decode), Self.options(.decode)]
    try await withWorkers(options) { workers, channels in
      _ = try await ask(workers[0], short, channels)
      _ = try await ask(workers[1], plain, channels)
      var request = plain
      request.holders = [Self.holder(workers[0]), Self.holder(workers[1])]
      let answer = try await ask(workers[2], request, channels)
      #expect(answer.tokens == expected)
      #expect(answer.route.fetchedBlocks == 12)
      #expect(workers[0].engine.statistics.blocksSent == 6 && workers[1].engine.statistics.blocksSent == 6)
    }
  }

  /// Two workers that each believe that the other has a prefix ask once and compute: nobody who is asked asks on.
  @Test func whoIsAskedDoesNotAskOn() async throws {
    let plain = decodeRequest(prompt(200))
    let expected = try await alone(plain)
    try await withWorkers([Self.options(.decode), Self.options(.decode)]) { workers, channels in
      let requests = workers.indices.map { index in
        var request = plain
        request.holders = [Self.holder(workers[1 - index])]
        return request
      }
      async let first = ask(workers[0], requests[0], channels)
      async let second = ask(workers[1], requests[1], channels)
      let answers = try await [first, second]
      #expect(answers.allSatisfy { $0.tokens == expected })
      for worker in workers { #expect(worker.engine.statistics.fetches.started == 1) }
    }
  }

  @Test func aHolderThatForgotEverythingCostsAQuestion() async throws {
    let plain = decodeRequest(prompt(200))
    let expected = try await alone(plain)
    try await withWorkers([Self.options(.decode), Self.options(.decode)]) { workers, channels in
      var request = plain
      request.holders = [Self.holder(workers[0])]
      let answer = try await ask(workers[1], request, channels)
      #expect(answer.tokens == expected)
      #expect(answer.route.fetchedBlocks == 0 && answer.route.computedTokens == 200)
      #expect(workers[1].engine.statistics.fetches.failures(.short) == 1)
    }
  }

  enum Stranger: CaseIterable { case anotherIncarnation, anotherModel, nobody }

  @Test(arguments: Stranger.allCases) func strangersAreNotFetchedFrom(stranger: Stranger) async throws {
    let plain = decodeRequest(prompt(200))
    let expected = try await alone(plain)
    var other = Self.options(.decode)
    if stranger == .anotherModel { other.model = "another" }
    try await withWorkers([other, Self.options(.decode)]) { workers, channels in
      _ = try await ask(workers[0], plain, channels)
      var request = plain
      var holder = Self.holder(workers[0])
      if stranger == .anotherIncarnation { holder.worker.incarnation &+= 1 }
      if stranger == .nobody { holder.worker.address = "127.0.0.1:1" }
      request.holders = [holder]
      let answer = try await ask(workers[1], request, channels)
      #expect(answer.tokens == expected)
      #expect(answer.route.fetchedBlocks == 0)
      let fetches = workers[1].engine.statistics.fetches
      #expect(fetches.failures(stranger == .nobody ? .unreachable : .refused) == 1)
      #expect(workers[0].engine.statistics.blocksSent == 0)
    }
  }

  /// A client that goes away while its prompt's prefix is fetched leaves nothing behind, here or there.
  @Test func aClientThatGoesAwayLeavesNothing() async throws {
    let plain = decodeRequest(prompt(200))
    try await withFaultyHolder(.fault(.stallsAfter(messages: 3)), of: plain) { holder in
      try await withWorkers([Self.options(.prefill), Self.options(.decode)]) { workers, channels in
        for index in workers.indices {
          var request = plain
          request.holders = [holder]
          if index == 0 { request.prefillCandidates = [workers[0].reference] }
          let wanted = request
          await withTaskGroup(of: Void.self) { group in
            group.addTask { _ = try? await ask(workers[1], wanted, channels) }
            while workers[index].engine.statistics.fetches.blocks == 0 {
              try? await Task.sleep(for: .milliseconds(1))
            }
            group.cancelAll()
          }
          try await workers[0].expectIdle()
          try await workers[1].expectIdle()
          #expect(workers[index].engine.statistics.fetches.failures(.unwanted) == 1)
        }
      }
    }
  }
}
