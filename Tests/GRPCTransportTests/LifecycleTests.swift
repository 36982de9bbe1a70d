import Foundation
import GRPCCore
import GRPCTransport
import ServingTypes
import Testing

@Suite(.timeLimit(.minutes(3)))
struct LifecycleTests {
  @Test func anAddressInUseIsRefusedByName() async throws {
    let first = try LibGRPCServerTransport(address: "127.0.0.1:0")
    let error = #expect(throws: RPCError.self) { _ = try LibGRPCServerTransport(address: first.address) }
    #expect(error?.code == .unavailable)
    #expect(error?.message.contains(first.address) == true)
    #expect(throws: RPCError.self) { _ = try LibGRPCServerTransport(address: "no such host:x") }
  }

  @Test func anUnreachableServerFailsAtOnceOrIsWaitedFor() async throws {
    try await withClient(to: "127.0.0.1:1") { client in
      let atOnce = await status { _ = try await client.callUnary([]) }
      #expect(atOnce?.code == .unavailable)
      let streaming = await status { _ = try await client.callBoth([[1]]) }
      #expect(streaming?.code == .unavailable)
      var options = CallOptions.timeout(.milliseconds(300))
      options.waitForReady = true
      let waited = await status { _ = try await client.callUnary([], options: options) }
      #expect(waited?.code == .deadlineExceeded)
    }
  }

  @Test func aClientFindsAServerThatComesBack() async throws {
    let path =
      "unix:\(FileManager.default.temporaryDirectory.path)/baton-transport-\(UInt64.random(in: 0 ... .max)).sock"
    try await withClient(to: path) { client in
      for round in 0..<3 {
        try await withServer(address: path) { _, _ in
          let reply = try await client.callUnary([UInt8(round)], options: .waiting)
          #expect(reply.message == [UInt8(round)])
        }
      }
    }
  }

  @Test func aGracefulShutdownLetsCallsEnd() async throws {
    let transport = try LibGRPCServerTransport(address: "127.0.0.1:0")
    let server = GRPCServer(transport: transport, services: [ConformanceService()])
    try await withThrowingTaskGroup(of: Void.self) { group async throws -> Void in
      group.addTask { try await server.serve() }
      try await withClient(to: transport.address) { client in
        let (turns, turn) = AsyncStream.makeStream(of: Int.self)
        turn.yield(0)
        let echoes = try await client.bidirectionalStreaming(
          request: StreamingClientRequest { writer in
            for await index in turns { try await writer.write([UInt8(index)]) }
          },
          descriptor: ConformanceService.both, serializer: RawSerializer(), deserializer: RawDeserializer(),
          options: .defaults
        ) { response in
          var echoes: [[UInt8]] = []
          for try await message in response.messages {
            echoes.append(message)
            if echoes.count == 1 {
              server.beginGracefulShutdown()
              let refused = try await eventually {
                await status { _ = try await client.callUnary([]) }?.code == .unavailable
              }
              #expect(refused)
            }
            if echoes.count < 5 { turn.yield(echoes.count) } else { turn.finish() }
          }
          return echoes
        }
        #expect(echoes == (0..<5).map { [UInt8($0)] })
      }
      try await group.waitForAll()
    }
    #expect(transport.callCount == 0)
  }

  @Test func theGracePeriodEndsWhatDoesNotEnd() async throws {
    var configuration = LibGRPCServerTransport.Configuration()
    configuration.gracePeriod = .milliseconds(100)
    let transport = try LibGRPCServerTransport(address: "127.0.0.1:0", configuration: configuration)
    let service = ConformanceService()
    let server = GRPCServer(transport: transport, services: [service])
    try await withThrowingTaskGroup(of: Void.self) { group async throws -> Void in
      group.addTask { try await server.serve() }
      try await withClient(to: transport.address) { client in
        let error = await status { try await client.hang(onHead: { server.beginGracefulShutdown() }) }
        #expect(error != nil)
      }
      try await group.waitForAll()
    }
    #expect(service.counts.withLock { $0.cancelled } == 1)
  }

  @Test func cancellingTheServerEndsItsCalls() async throws {
    let transport = try LibGRPCServerTransport(address: "127.0.0.1:0")
    let server = GRPCServer(transport: transport, services: [ConformanceService()])
    try await withThrowingTaskGroup(of: Void.self) { group async throws -> Void in
      group.addTask { try? await server.serve() }
      let (heads, head) = AsyncStream<Never>.makeStream()
      group.addTask {
        try await withClient(to: transport.address) { client in
          let error = await status { try await client.hang(onHead: { head.finish() }) }
          #expect(error != nil)
        }
      }
      for await _ in heads {}
      group.cancelAll()
    }
    #expect(transport.callCount == 0)
  }

  @Test func aServerStoppedBeforeItStartedReturns() async throws {
    let transport = try LibGRPCServerTransport(address: "127.0.0.1:0")
    transport.beginGracefulShutdown()
    try await transport.listen { _, _ in }
    let again = try LibGRPCServerTransport(address: transport.address)
    #expect(again.port == transport.port)
  }

  @Test func aClosedClientRefusesCalls() async throws {
    let transport = try LibGRPCClientTransport(target: "127.0.0.1:1")
    transport.beginGracefulShutdown()
    let error = await status {
      try await transport.withStream(descriptor: ConformanceService.unary, options: .defaults) { _, _ in }
    }
    #expect(error?.code == .failedPrecondition)
    try await transport.connect()
  }

  @Test func nothingIsLeftOfTransportsAndTheirThreads() async throws {
    let name = "leak\(UInt16.random(in: 0 ... .max))"
    weak var server: LibGRPCServerTransport?
    weak var client: LibGRPCClientTransport?
    try await {
      let queue = try CompletionQueue(name: name)
      let started = try await eventually { threads(named: name) == 1 }
      #expect(started)
      let listening = try LibGRPCServerTransport(address: "127.0.0.1:0", queue: queue)
      server = listening
      let calling = try LibGRPCClientTransport(target: listening.address, queue: queue)
      client = calling
      _ = try LibGRPCServerTransport(address: "127.0.0.1:0", queue: queue)
      try await withGRPCServer(transport: listening, services: [ConformanceService()]) { _ in
        try await withGRPCClient(transport: calling) { client in
          for _ in 0..<10 { _ = try await client.callUnary([1]) }
        }
      }
    }()
    #expect(server == nil)
    #expect(client == nil)
    let joined = try await eventually { threads(named: name) == 0 }
    #expect(joined)
  }

  private func threads(named name: String) -> Int {
    let tasks = (try? FileManager.default.contentsOfDirectory(atPath: "/proc/self/task")) ?? []
    return tasks.filter { task in
      let text = try? String(contentsOfFile: "/proc/self/task/\(task)/comm", encoding: .utf8)
      return text?.trimmingCharacters(in: .newlines) == name
    }.count
  }
}
