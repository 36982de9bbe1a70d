import Engine
import GRPCCore
import RPC
import ServingProtos
import ServingTypes
import Testing

/// Whatever a holder does wrong, the request ends with the right tokens, and nothing wrong is ever cached.
@Suite struct FetchFailureTests {
  static let kinds: [FaultyHolder.Kind] =
    [
      .flippedPayload(block: 0), .flippedPayload(block: 3), .flippedPayload(block: 11), .wrongHash(block: 1),
      .wrongParent(block: 2), .wrongIndex(block: 2), .wrongTokenCount(block: 1), .shortPayload(block: 2),
      .notProtobuf(block: 1), .duplicated, .ignoresCredit,
    ].map { .fault($0) }
    + (0..<14).flatMap { [.fault(.diesAfter(messages: $0)), .fault(.closesAfter(messages: $0))] }
    + [0, 1, 4, 13].map { .fault(.stallsAfter(messages: $0)) }
    + [.promisesTooMuch, .has(0), .has(5), .refuses(.failedPrecondition), .refuses(.resourceExhausted)]

  /// Then the same prompt again, which finds whatever was cached.
  @Test(arguments: kinds) func aFaultyHolderCostsTimeOnly(kind: FaultyHolder.Kind) async throws {
    let plain = decodeRequest(prompt(200))
    let expected = try await alone(plain)
    var timeout = Duration.seconds(30)
    if case .fault(.stallsAfter(let messages)) = kind, messages < 13 { timeout = .milliseconds(200) }
    let options = FetchEndToEndTests.options(.decode, fetchTimeout: timeout)
    try await withFaultyHolder(kind, of: plain) { holder in
      try await withWorkers([options]) { workers, channels in
        for attempt in 0..<2 {
          var request = plain
          request.holders = [holder]
          let answer = try await ask(workers[0], request, channels)
          #expect(answer.tokens == expected, "attempt \(attempt)")
          #expect(answer.route.computedTokens == 200 - 16 * answer.route.fetchedBlocks || attempt == 1)
        }
        let statistics = workers[0].engine.statistics
        #expect(statistics.fetches.started == 1)
        #expect(statistics.fetches.completed <= 1)
        let failures = FetchFailure.allCases.filter { statistics.fetches.failures($0) > 0 }
        switch kind {
        case .fault(.stallsAfter(13)), .fault(.diesAfter(13)), .fault(.closesAfter(13)):
          // Every block had come.
          #expect(statistics.fetches.blocks == 12)
        case .fault(.stallsAfter): #expect(failures == [.slow])
        case .fault(.ignoresCredit): break
        case .fault(.diesAfter), .fault(.closesAfter): #expect(failures == [.unreachable])
        case .fault, .promisesTooMuch: #expect(failures == [.corrupt])
        case .has: #expect(failures == [.short])
        case .refuses: #expect(failures == [.refused])
        }
      }
    }
  }

  /// A connection that is cut after so many bytes.
  @Test(arguments: [1, 200, 3000, 9000, 20_000]) func aCutConnectionCostsTimeOnly(bytes: Int) async throws {
    let plain = decodeRequest(prompt(200))
    let expected = try await alone(plain)
    let options = FetchEndToEndTests.options(.decode)
    try await withWorkers([options, options]) { workers, channels in
      _ = try await ask(workers[0], plain, channels)
      let port = try #require(Int(workers[0].server.boundAddress.split(separator: ":").last ?? ""))
      let proxy = try CuttingProxy(to: port, cuttingAfter: bytes)
      var request = plain
      var holder = FetchEndToEndTests.holder(workers[0])
      holder.worker.address = "127.0.0.1:\(proxy.port)"
      request.holders = [holder]
      let answer = try await ask(workers[1], request, channels)
      #expect(answer.tokens == expected)
      #expect(answer.route.computedTokens == 200 - 16 * answer.route.fetchedBlocks)
      let fetches = workers[1].engine.statistics.fetches
      #expect(fetches.completed + fetches.failures(.unreachable) == 1)
    }
  }

  /// A holder that failed is left alone for a while: the next request does not wait for it.
  @Test func aHolderThatStalledIsNotAskedAgainAtOnce() async throws {
    let plain = decodeRequest(prompt(200))
    let expected = try await alone(plain)
    let options = FetchEndToEndTests.options(.decode, fetchTimeout: .milliseconds(200))
    try await withFaultyHolder(.fault(.stallsAfter(messages: 1)), of: plain) { holder in
      try await withWorkers([options]) { workers, channels in
        var request = plain
        request.holders = [holder]
        #expect(try await ask(workers[0], request, channels).tokens == expected)
        request.cacheSalt = "other"
        let salted = try await alone(request)
        #expect(try await ask(workers[0], request, channels).tokens == salted)
        let fetches = workers[0].engine.statistics.fetches
        #expect(fetches.failures(.slow) == 1 && fetches.failures(.unreachable) == 1)
      }
    }
  }

  /// Those behind it, for whom no time was left, are asked the next time.
  @Test func aHolderThatStalledIsAloneToBlame() async throws {
    let plain = decodeRequest(prompt(200))
    var salted = plain
    salted.cacheSalt = "other"
    let options = FetchEndToEndTests.options(.decode, fetchTimeout: .milliseconds(500))
    try await withFaultyHolder(.fault(.stallsAfter(messages: 0)), of: plain) { [salted] stalling in
      try await withWorkers([FetchEndToEndTests.options(.decode), options]) { workers, channels in
        for (index, request) in [plain, salted].enumerated() {
          let expected = try await ask(workers[0], request, channels).tokens
          var asked = request
          asked.holders = [stalling, FetchEndToEndTests.holder(workers[0])]
          let answer = try await ask(workers[1], asked, channels)
          #expect(answer.tokens == expected)
          #expect(answer.route.fetchedBlocks == [0, 12][index])
        }
        let fetches = workers[1].engine.statistics.fetches
        #expect(fetches.failures(.slow) == 1 && fetches.completed == 1)
      }
    }
  }
}
