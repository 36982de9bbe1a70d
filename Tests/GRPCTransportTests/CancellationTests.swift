import GRPCCore
import GRPCTransport
import ServingTypes
import Testing

@Suite(.timeLimit(.minutes(3)))
struct CancellationTests {
  @Test func aCancelledTaskEndsItsCallOnBothSides() async throws {
    try await withPair { client, service in
      let result = try await withThrowingTaskGroup(of: RPCError?.self) { group async throws -> RPCError? in
        group.addTask { await status { try await client.hang() } }
        let started = try await eventually { service.counts.withLock { $0.started } == 1 }
        #expect(started)
        group.cancelAll()
        return try await group.next() ?? nil
      }
      #expect(result?.code == .cancelled)
      let seen = try await eventually { service.counts.withLock { $0.cancelled } == 1 }
      #expect(seen)
    }
  }

  /// The task's deadline is the library's alone; GRPCCore ends a call with a timeout as well.
  @Test(arguments: [false, true]) func aDeadlineEndsTheCallOnBothSides(isTheTasks: Bool) async throws {
    try await withPair { client, service in
      let error = await status {
        if isTheTasks {
          try await CallDeadline.$current.withValue(.now + .milliseconds(200)) { try await client.hang() }
        } else {
          try await client.hang(options: .timeout(.milliseconds(200)))
        }
      }
      #expect(error?.code == .deadlineExceeded)
      let seen = try await eventually {
        let counts = service.counts.withLock { $0 }
        return counts.cancelled == counts.started
      }
      #expect(seen)
    }
  }

  /// A client that does not read keeps no handler from ending, once it waits no more.
  @Test(arguments: [
    (ConformanceService.stuck, false), (ConformanceService.stuck, true), (ConformanceService.stuckAhead, true),
  ])
  func aWriteThatWasGivenUpHoldsNoStatusBack(method: MethodDescriptor, sendsAhead: Bool) async throws {
    var configuration = LibGRPCServerTransport.Configuration()
    configuration.sendsAhead = sendsAhead
    try await withServer(configuration: configuration) { transport, service in
      try await withClient(to: transport.address) { client in
        try await client.bidirectionalStreaming(
          request: StreamingClientRequest { _ in try await Task.sleep(for: .seconds(3600)) },
          descriptor: method, serializer: RawSerializer(), deserializer: RawDeserializer(),
          options: .defaults
        ) { response in
          _ = try response.accepted.get()
          let hasEnded = try await eventually {
            service.counts.withLock { $0.started } == 1 && transport.callCount == 0
          }
          #expect(hasEnded)
        }
      }
    }
  }

  /// Timeouts are rounded up on the wire.
  @Test func theServerKnowsTheDeadline() async throws {
    try await withPair { client, _ in
      let method = ConformanceService.deadline
      let reply = try await client.callUnary([], method: method, options: .timeout(.seconds(60)))
      #expect((30_000..<70_000).contains(reply.message.word(0)))
      let far = try await client.callUnary([], method: method, options: .timeout(.seconds(400_000)))
      #expect((390_000_000..<410_000_000).contains(far.message.word(0)))
      let never = try await client.callUnary([], method: method)
      #expect(never.message.word(0) == .max)
      let past = await status { _ = try await client.callUnary([], options: .timeout(.zero)) }
      #expect(past?.code == .deadlineExceeded)
      for (task, timeout, expected) in [(60.0, nil, 60.0), (60, 600, 60), (600, 60, 60)] as [(Double, Double?, Double)]
      {
        let reply = try await CallDeadline.$current.withValue(.now + .seconds(task)) {
          try await client.callUnary(
            [], method: method, options: timeout.map { .timeout(.seconds($0)) } ?? .defaults)
        }
        #expect(abs(Double(reply.message.word(0)) - expected * 1000) < 20_000, "\(task) and \(timeout as Double?)")
      }
      let gone = await status {
        _ = try await CallDeadline.$current.withValue(.now - .seconds(1)) { try await client.callUnary([]) }
      }
      #expect(gone?.code == .deadlineExceeded)
    }
  }

  /// What a client gave up in the middle must never look complete to the server.
  @Test func aBrokenRequestStreamNeverEndsCleanly() async throws {
    struct GivenUp: Error {}
    try await withPair { client, service in
      for round in 0..<300 {
        _ = try? await client.clientStreaming(
          request: StreamingClientRequest { writer in
            for index in 0..<(round % 4) { try await writer.write(.pattern(50, seed: index)) }
            throw GivenUp()
          },
          descriptor: ConformanceService.up, serializer: RawSerializer(), deserializer: RawDeserializer(),
          options: .defaults
        ) { try $0.message }
      }
      #expect(service.counts.withLock { $0.endedCleanly } == 0)
    }
  }

  @Test func aReadThatWasGivenUpLosesNothing() async throws {
    let server = try LibGRPCServerTransport(address: "127.0.0.1:0")
    try await withThrowingTaskGroup(of: Void.self) { group async throws -> Void in
      group.addTask {
        try await server.listen { stream, _ in
          do {
            let gaveUp = await giveUpReading(stream.inbound)
            try await stream.outbound.write(.metadata([:]))
            try await stream.outbound.write(.message(GRPCBytes([gaveUp ? 1 : 0])))
            for try await part in stream.inbound {
              if case .message(let bytes) = part { try await stream.outbound.write(.message(bytes)) }
            }
            try await stream.outbound.write(.status(Status(code: .ok, message: ""), [:]))
          } catch {
            await stream.outbound.finish(throwing: error)
          }
        }
      }
      try await withClient(to: server.address) { client in
        let (turns, turn) = AsyncStream<Never>.makeStream()
        let messages = try await client.bidirectionalStreaming(
          request: StreamingClientRequest { writer in
            for await _ in turns {}
            try await writer.write([5])
            try await writer.write([6])
          },
          descriptor: ConformanceService.both, serializer: RawSerializer(), deserializer: RawDeserializer(),
          options: .defaults
        ) { response in
          var messages: [[UInt8]] = []
          for try await message in response.messages {
            messages.append(message)
            turn.finish()
          }
          return messages
        }
        #expect(messages == [[1], [5], [6]])
      }
      server.beginGracefulShutdown()
      try await group.waitForAll()
    }
  }

  @Test func aServerMayEndBeforeItsClientDoes() async throws {
    try await withPair { client, _ in
      for _ in 0..<50 {
        let messages = try await client.bidirectionalStreaming(
          request: StreamingClientRequest { writer in
            while true { try await writer.write(.pattern(1000, seed: 0)) }
          },
          descriptor: ConformanceService.early, serializer: RawSerializer(), deserializer: RawDeserializer(),
          options: .defaults
        ) { response in
          var messages: [[UInt8]] = []
          for try await message in response.messages { messages.append(message) }
          return messages
        }
        #expect(messages == (0..<3).map { .pattern(100, seed: $0) })
      }
    }
  }

  /// A client that leaves early frees the server's handler, which is stuck in flow control.
  @Test func anUnreadStreamEndsWithItsReader() async throws {
    try await withPair { client, _ in
      for _ in 0..<10 {
        let first = try await client.serverStreaming(
          request: ClientRequest(message: .init(words: [1_000_000, 100_000, 0])), descriptor: ConformanceService.down,
          serializer: RawSerializer(), deserializer: RawDeserializer(), options: .defaults
        ) { response in
          for try await message in response.messages { return message.count }
          return 0
        }
        #expect(first == 100_000)
      }
    }
  }

  @Test func lentMemoryComesBackHoweverTheCallEnds() async throws {
    struct LendingSerializer: MessageSerializer {
      let block: LentTestBlock
      func serialize<Bytes: GRPCContiguousBytes>(_ message: [UInt8]) throws -> Bytes {
        .assemble([.copied(message), block.lend()])
      }
    }
    let block = LentTestBlock(count: 1 << 20)
    try await withPair { client, _ in
      let echo = try await client.unary(
        request: ClientRequest(message: [1, 2, 3]), descriptor: ConformanceService.unary,
        serializer: LendingSerializer(block: block), deserializer: RawDeserializer(), options: .defaults
      ) { try $0.message }
      #expect(echo == [1, 2, 3] + block.contents)
    }
    try await withClient(to: "127.0.0.1:1") { client in
      let error = await status {
        try await client.unary(
          request: ClientRequest(message: [1, 2, 3]), descriptor: ConformanceService.unary,
          serializer: LendingSerializer(block: block), deserializer: RawDeserializer(), options: .defaults
        ) { _ = try $0.message }
      }
      #expect(error?.code == .unavailable)
    }
    let released = try await eventually { block.loans.withLock { $0.out == 2 && $0.back == 2 } }
    #expect(released)
  }
}

/// Reads until its task is cancelled, which it is at once.
private func giveUpReading(_ inbound: LibGRPCServerTransport.Inbound) async -> Bool {
  await withTaskGroup(of: Bool.self) { group in
    group.addTask {
      do {
        for try await part in inbound {
          if case .message = part { return false }
        }
        return false
      } catch {
        return (error as? RPCError)?.code == .cancelled
      }
    }
    group.cancelAll()
    return await group.next() ?? false
  }
}

/// Memory of a fixed place that counts its loans.
private final class LentTestBlock: @unchecked Sendable {  // safe: the bytes are written once, before the first loan
  let loans = Lock((out: 0, back: 0))
  private let memory: UnsafeMutableRawBufferPointer

  init(count: Int) {
    memory = .allocate(byteCount: count, alignment: 64)
    memory.copyBytes(from: [UInt8].pattern(count, seed: 9))
  }

  deinit { memory.deallocate() }

  var contents: [UInt8] { Array(memory) }

  func lend() -> GRPCBytes.Piece {
    loans.withLock { $0.out += 1 }
    return .lent(UnsafeRawBufferPointer(memory), onRelease: { self.loans.withLock { $0.back += 1 } })
  }
}
