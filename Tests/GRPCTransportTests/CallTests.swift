import Foundation
import GRPCCore
import GRPCTransport
import ServingTypes
import Testing

@Suite(.timeLimit(.minutes(3)))
struct CallTests {
  @Test func everyKindOfCallCarriesItsMessages() async throws {
    try await withPair { client, _ in
      let result1 = try await client.callUnary(.init("hello")).message
      #expect(result1 == .init("hello"))
      let result2 = try await client.callUnary([]).message
      #expect(result2 == [])
      let down = try await client.callDown(count: 5, size: 1000)
      #expect(down == (0..<5).map { .pattern(1000, seed: $0) })
      let result3 = try await client.callDown(count: 0, size: 0).isEmpty
      #expect(result3)
      let up = try await client.callUp((0..<7).map { .pattern(100, seed: $0) })
      #expect(up == .init(words: [7, 700]))
      let result4 = try await client.callUp([])
      #expect(result4 == .init(words: [0, 0]))
      let messages = (0..<20).map { [UInt8].pattern(10 * $0, seed: $0) }
      let result5 = try await client.callBoth(messages)
      #expect(result5 == messages)
      let result6 = try await client.callBoth([]).isEmpty
      #expect(result6)
    }
  }

  @Test func handlersAndCallersMayRunOnTheQueue() async throws {
    var configuration = LibGRPCServerTransport.Configuration()
    configuration.runsHandlersOnQueue = true
    try await withServer(configuration: configuration) { server, _ in
      let transport = try LibGRPCClientTransport(target: server.address)
      try await withGRPCClient(transport: transport) { client in
        try await withTaskExecutorPreference(transport.queue.executor) { () async throws -> Void in
          for index in 0..<200 {
            let message = [UInt8].pattern(index, seed: index)
            let echo = try await client.callUnary(message).message
            #expect(echo == message)
          }
          let messages = (0..<50).map { [UInt8].pattern(100, seed: $0) }
          let echoes = try await client.callBoth(messages)
          #expect(echoes == messages)
        }
      }
    }
  }

  @Test func metadataTravelBothWaysTextAndBinary() async throws {
    try await withPair { client, _ in
      var metadata: Metadata = ["x-initial": "first", "X-Trailing": "last"]
      metadata.addString("second", forKey: "x-initial")
      metadata.addBinary([0, 1, 2, 255, 10], forKey: "x-initial-bin")
      metadata.addBinary([], forKey: "x-trailing-bin")
      metadata.addBinary([7, 0, 7], forKey: "x-trailing-bin")
      let reply = try await client.callUnary([1], metadata: metadata)
      #expect(Array(reply.metadata[stringValues: "x-initial"]) == ["first", "second"])
      #expect(reply.metadata.bytes("x-initial-bin") == [[0, 1, 2, 255, 10]])
      #expect(reply.trailing.first("x-trailing") == "last")
      #expect(reply.trailing.bytes("x-trailing-bin") == [[], [7, 0, 7]])
    }
  }

  @Test(arguments: [0, 1, 3], [false, true]) func aStreamHasItsHead(messages: Int, sendsAhead: Bool) async throws {
    var configuration = LibGRPCServerTransport.Configuration()
    configuration.sendsAhead = sendsAhead
    try await withServer(configuration: configuration) { server, _ in
      try await withClient(to: server.address) { client in
        let request = ClientRequest(
          message: [UInt8](words: [UInt32(messages), 10, 0]), metadata: ["x-initial": "first"])
        try await client.serverStreaming(
          request: request, descriptor: ConformanceService.down, serializer: RawSerializer(),
          deserializer: RawDeserializer(), options: .defaults
        ) { response in
          #expect(response.metadata.first("x-initial") == "first")
          let count = try await response.messages.reduce(0) { count, _ in count + 1 }
          #expect(count == messages)
        }
      }
    }
  }

  @Test func metadataThatCannotBeSentNameTheKey() async throws {
    try await withPair { client, _ in
      let value = await status { _ = try await client.callUnary([], metadata: ["x-text": "caf\u{e9}\n"]) }
      #expect(value?.code == .invalidArgument)
      #expect(value?.message.contains("x-text") == true)
      let key = await status { _ = try await client.callUnary([], metadata: ["x y": "1"]) }
      #expect(key?.code == .invalidArgument)
      #expect(key?.message.contains("x y") == true)
    }
  }

  @Test(arguments: 1...16)
  func eachStatusComesBackWithMessageAndMetadata(code: Int) async throws {
    try await withPair { client, _ in
      var metadata: Metadata = ["x-status": "\(code)", "x-message": "reason 100% %41", "x-trailing": "kept"]
      metadata.addBinary([9], forKey: "x-trailing-bin")
      let error = await status { _ = try await client.callUnary([1], metadata: metadata) }
      #expect(error?.code.rawValue == code)
      #expect(error?.message == "reason 100% %41")
      #expect(error?.metadata.first("x-trailing") == "kept")
      #expect(error?.metadata.bytes("x-trailing-bin") == [[9]])
    }
  }

  @Test func aRefusedCallHasNoHead() async throws {
    try await withPair { client, _ in
      let accepted = try await client.serverStreaming(
        request: ClientRequest(message: [1], metadata: ["x-status": "5"]), descriptor: ConformanceService.unary,
        serializer: RawSerializer(), deserializer: RawDeserializer(), options: .defaults
      ) { response in
        if case .success = response.accepted { return true }
        return false
      }
      #expect(!accepted)
    }
  }

  @Test func aStreamMayFailAfterItsMessages() async throws {
    try await withPair { client, _ in
      let received = Lock(0)
      let error = await status {
        try await client.serverStreaming(
          request: ClientRequest(message: .init(words: [3, 10, 15])), descriptor: ConformanceService.down,
          serializer: RawSerializer(), deserializer: RawDeserializer(), options: .defaults
        ) { response in
          for try await _ in response.messages { received.withLock { $0 += 1 } }
        }
      }
      #expect(error?.code == .dataLoss)
      #expect(received.withLock { $0 } == 3)
    }
  }

  @Test func anUnknownMethodIsUnimplemented() async throws {
    try await withPair { client, _ in
      let method = ConformanceService.method("Nowhere", .unary)
      let result7 = await status { _ = try await client.callUnary([], method: method) }
      #expect(result7?.code == .unimplemented)
    }
  }

  @Test func peersAreNamed() async throws {
    try await withServer { server, _ in
      try await withClient(to: server.address) { client in
        let reply = try await client.callUnary([], method: ConformanceService.peer)
        let words = String(decoding: reply.message, as: UTF8.self).split(separator: " ")
        #expect(words[0].hasPrefix("ipv4:127.0.0.1:"))
        #expect(words[1] == "127.0.0.1:\(server.port)")
      }
    }
  }

  @Test func unixSocketsServeToo() async throws {
    let path = "\(FileManager.default.temporaryDirectory.path)/baton-transport-\(UInt64.random(in: 0 ... .max)).sock"
    try await withServer(address: "unix:\(path)") { server, _ in
      try await withClient(to: server.address) { client in
        let result8 = try await client.callUnary([1, 2]).message
        #expect(result8 == [1, 2])
      }
    }
  }

  @Test func largeMessagesPassUpToTheLimit() async throws {
    var server = LibGRPCServerTransport.Configuration()
    server.http2 = .bulk
    var client = LibGRPCClientTransport.Configuration()
    client.http2 = .bulk
    try await withPair(server: server, client: client) { client, _ in
      let message = [UInt8].pattern(8 << 20, seed: 3)
      let result9 = try await client.callUnary(message).message
      #expect(result9 == message)
      let result10 = try await client.callDown(count: 4, size: 4 << 20).map(\.count)
      #expect(result10 == [4 << 20, 4 << 20, 4 << 20, 4 << 20])
      let tooLong = [UInt8](repeating: 1, count: (16 << 20) + 1)
      let result11 = await status { _ = try await client.callUnary(tooLong) }
      #expect(result11?.code == .resourceExhausted)
      let result12 = await status { _ = try await client.callDown(count: 1, size: (16 << 20) + 1) }
      #expect(result12?.code == .resourceExhausted)
      let result13 = try await client.callUnary([4]).message
      #expect(result13 == [4])
    }
  }

  @Test func messagesSentAheadArriveInOrderAndBeforeTheStatus() async throws {
    var server = LibGRPCServerTransport.Configuration()
    server.sendsAhead = true
    try await withPair(server: server) { client, _ in
      let down = try await client.callDown(count: 300, size: 700)
      #expect(down == (0..<300).map { .pattern(700, seed: $0) })
      // More than a stream's window.
      let large = try await client.callDown(count: 3, size: 4 << 20)
      #expect(large == (0..<3).map { .pattern(4 << 20, seed: $0) })
      let late = await status { _ = try await client.callDown(count: 3, size: 10, code: 15) }
      #expect(late?.code == .dataLoss)
      let none = try await client.callDown(count: 0, size: 0).isEmpty
      #expect(none)
      let both = try await client.callBoth((0..<20).map { .pattern(10 * $0, seed: $0) })
      #expect(both == (0..<20).map { .pattern(10 * $0, seed: $0) })
    }
  }

  @Test func limitsOfOneCallHold() async throws {
    try await withPair { client, _ in
      var options = CallOptions.defaults
      options.maxRequestMessageBytes = 10
      let request = await status { _ = try await client.callUnary(.pattern(11, seed: 0), options: options) }
      #expect(request?.code == .resourceExhausted)
      options = .defaults
      options.maxResponseMessageBytes = 10
      let response = await status { _ = try await client.callUnary(.pattern(11, seed: 0), options: options) }
      #expect(response?.code == .resourceExhausted)
    }
  }

  @Test func aThousandStreamsAtOnce() async throws {
    try await withPair { client, _ in
      try await withThrowingTaskGroup(of: Bool.self) { group in
        for index in 0..<1000 {
          group.addTask {
            let messages = (0..<3).map { [UInt8].pattern(64, seed: index * 3 + $0) }
            return try await client.callBoth(messages) == messages
          }
        }
        for try await same in group { #expect(same) }
      }
    }
  }

  @Test func callsBeyondTheServersLimitAreRefused() async throws {
    var configuration = LibGRPCServerTransport.Configuration()
    configuration.maxConcurrentCalls = 2
    try await withPair(server: configuration) { client, service in
      try await withThrowingTaskGroup(of: Void.self) { group async throws -> Void in
        for _ in 0..<2 {
          group.addTask { _ = await status { try await client.hang() } }
        }
        let started = try await eventually { service.counts.withLock { $0.started } == 2 }
        #expect(started)
        let error = await status { _ = try await client.callUnary([]) }
        #expect(error?.code == .resourceExhausted)
        group.cancelAll()
      }
    }
  }

  @Test func callsBeyondTheClientsLimitAreRefused() async throws {
    var configuration = LibGRPCClientTransport.Configuration()
    configuration.maxConcurrentCalls = 1
    try await withPair(client: configuration) { client, service in
      try await withThrowingTaskGroup(of: Void.self) { group async throws -> Void in
        group.addTask { _ = await status { try await client.hang() } }
        let started = try await eventually { service.counts.withLock { $0.started } == 1 }
        #expect(started)
        let result14 = await status { _ = try await client.callUnary([]) }
        #expect(result14?.code == .resourceExhausted)
        group.cancelAll()
      }
    }
  }
}
