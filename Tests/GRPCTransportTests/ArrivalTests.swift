import GRPCCore
import GRPCTransport
import Glibc
import ServingTypes
import Testing

/// Messages taken where they arrive, and written where they can leave at once.
@Suite(.timeLimit(.minutes(3)))
struct ArrivalTests {
  /// What was seen of one response, by the handler and by the reader.
  private struct Seen {
    var messages: [[UInt8]] = []
    var taken = 0
    var refused = 0
    var isHandling = false
    var isReaderDone = false
    var offersToNobody = 0
  }

  private func down(_ client: TestClient, count: Int, size: Int, options: CallOptions = .defaults, _ seen: Lock<Seen>)
    async throws
  {
    try await client.serverStreaming(
      request: ClientRequest(message: .init(words: [UInt32(count), UInt32(size), 0])),
      descriptor: ConformanceService.down, serializer: RawSerializer(), deserializer: RawDeserializer(),
      options: options
    ) { response in
      for try await message in response.messages { seen.withLock { $0.messages.append(message) } }
    }
  }

  @Test(arguments: [false, true]) func eachMessageIsSeenOnceAndInOrder(sendsAhead: Bool) async throws {
    var server = LibGRPCServerTransport.Configuration()
    server.sendsAhead = sendsAhead
    try await withPair(server: server) { client, _ in
      for round in 0..<20 {
        let seen = Lock(Seen())
        let handler = ArrivalHandler { bytes in
          seen.withLock { seen in
            if UInt8.random(in: 0..<4) == 0 {
              seen.refused += 1
              return false
            }
            seen.taken += 1
            seen.messages.append(bytes.withUnsafeBytes { Array($0) })
            return true
          }
        }
        try await ArrivalHandler.$current.withValue(handler) {
          try await down(client, count: 300, size: round * 40, seen)
        }
        let result = seen.withLock { $0 }
        #expect(result.messages == (0..<300).map { .pattern(round * 40, seed: $0) })
        #expect(result.taken > 0 && result.refused > 0)
      }
    }
  }

  @Test func aCallThatIsMadeMeanwhileIsItsOwn() async throws {
    try await withPair { client, _ in
      let (outer, inner, offered) = (Lock(Seen()), Lock(Seen()), Lock(0))
      let handler = ArrivalHandler { _ in
        offered.withLock { $0 += 1 }
        return false
      }
      try await ArrivalHandler.$current.withValue(handler) {
        try await client.serverStreaming(
          request: ClientRequest(message: .init(words: [3, 10, 0])), descriptor: ConformanceService.down,
          serializer: RawSerializer(), deserializer: RawDeserializer(), options: .defaults
        ) { response in
          for try await message in response.messages {
            outer.withLock { $0.messages.append(message) }
            try await down(client, count: 100, size: 10, inner)
          }
        }
      }
      #expect(outer.withLock { $0.messages.count } == 3 && inner.withLock { $0.messages.count } == 300)
      #expect(offered.withLock { $0 } <= 3)
    }
  }

  @Test func aLimitOfTheCallsOwnIsTheReadersToKeep() async throws {
    try await withPair { client, _ in
      let offered = Lock(0)
      let handler = ArrivalHandler { _ in
        offered.withLock { $0 += 1 }
        return true
      }
      var options = CallOptions.defaults
      options.maxResponseMessageBytes = 10
      let (limited, seen) = (options, Lock(Seen()))
      let error = await status {
        try await ArrivalHandler.$current.withValue(handler) {
          try await down(client, count: 3, size: 11, options: limited, seen)
        }
      }
      #expect(error?.code == .resourceExhausted && offered.withLock { $0 } == 0)
    }
  }

  /// However a reader ends while a message is handled, it ends after that, and nothing is handled afterwards.
  @Test(arguments: [false, true]) func aReaderThatIsCancelledIsNotOvertaken(takes: Bool) async throws {
    try await withPair { client, _ in
      for round in 0..<60 {
        let seen = Lock(Seen())
        let handler = ArrivalHandler { bytes in
          let count = seen.withLock { seen in
            if seen.isReaderDone { seen.offersToNobody += 1 }
            seen.isHandling = true
            seen.taken += 1
            return seen.taken
          }
          if count % 3 == 0 { usleep(2000) }
          seen.withLock { $0.isHandling = false }
          return takes || count % 2 == 0
        }
        await withTaskGroup(of: Void.self) { group in
          group.addTask {
            await ArrivalHandler.$current.withValue(handler) {
              _ = try? await down(client, count: 100_000, size: 10, seen)
            }
            seen.withLock { seen in
              seen.isReaderDone = true
              #expect(!seen.isHandling)
            }
          }
          let hasBegun = try? await eventually { seen.withLock { $0.taken > round % 10 } }
          #expect(hasBegun == true)
          group.cancelAll()
        }
        try? await Task.sleep(for: .milliseconds(2))
        #expect(seen.withLock { $0.offersToNobody } == 0)
      }
      // The connection and its queue go on.
      let echo = try await client.callUnary([7]).message
      #expect(echo == [7])
    }
  }

  /// A server's handler may leave out its writer, but not overtake it.
  @Test(arguments: [false, true]) func whatIsWrittenAtOnceKeepsItsPlace(sendsAhead: Bool) async throws {
    var server = LibGRPCServerTransport.Configuration()
    server.sendsAhead = sendsAhead
    try await withPair(server: server) { client, service in
      for size in [0, 10, 1 << 20] {
        let messages = try await client.callDown(
          count: 60, size: size, method: ConformanceService.downAtOnce)
        #expect(messages == (0..<60).map { .pattern(size, seed: $0) })
      }
      let counts = service.counts.withLock { $0 }
      #expect(counts.writtenBeforeHead == 0)
      // Whoever waits until each message is on its way has nothing to write beside it.
      #expect(sendsAhead ? counts.writtenAtOnce > 0 : counts.writtenAtOnce == 0)
    }
  }

  @Test func nothingIsWrittenAtOnceToAClientThatIsGone() async throws {
    var server = LibGRPCServerTransport.Configuration()
    server.sendsAhead = true
    try await withPair(server: server) { client, service in
      try await withThrowingTaskGroup(of: Void.self) { group in
        group.addTask {
          _ = await status {
            _ = try await client.callDown(count: .max, size: 100, method: ConformanceService.downAtOnce)
          }
        }
        let hasBegun = try await eventually { service.counts.withLock { $0.writtenAtOnce > 10 } }
        #expect(hasBegun)
        group.cancelAll()
        try await group.waitForAll()
      }
      let hasEnded = try await eventually { service.counts.withLock { $0.cancelled == 1 } }
      #expect(hasEnded)
    }
  }
}
