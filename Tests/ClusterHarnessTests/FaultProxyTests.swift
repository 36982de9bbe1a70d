import ClusterHarness
import NIOCore
import NIOPosix
import ServingTypes
import Testing

/// Over real sockets, with a server that sends back what it gets.
@Suite struct FaultProxyTests {
  private typealias Connection = NIOAsyncChannel<ByteBuffer, ByteBuffer>

  /// Runs the body with a proxy before an echoing server.
  private func withProxy(_ body: @Sendable @escaping (FaultProxy) async throws -> Void) async throws {
    let server = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
      .bind(host: "127.0.0.1", port: 0) { channel in
        channel.eventLoop.makeCompletedFuture { try Connection(wrappingChannelSynchronously: channel) }
      }
    let proxy = try await FaultProxy(toPort: server.channel.localAddress?.port ?? 0)
    try await withThrowingTaskGroup(of: Void.self) { group in
      group.addTask {
        try await server.executeThenClose { connections in
          try await withThrowingDiscardingTaskGroup { echoes in
            for try await connection in connections {
              echoes.addTask {
                try? await connection.executeThenClose { inbound, outbound in
                  for try await bytes in inbound { try await outbound.write(bytes) }
                }
              }
            }
          }
        }
      }
      defer { group.cancelAll() }
      try await body(proxy)
      await proxy.close()
    }
  }

  private func connect(_ proxy: FaultProxy) async throws -> Connection {
    try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
      .connect(host: "127.0.0.1", port: proxy.port) { channel in
        channel.eventLoop.makeCompletedFuture { try Connection(wrappingChannelSynchronously: channel) }
      }
  }

  /// Reads that many bytes.
  private static func read(
    _ count: Int, from inbound: inout NIOAsyncChannelInboundStream<ByteBuffer>.AsyncIterator
  ) async throws -> [UInt8] {
    var bytes: [UInt8] = []
    while bytes.count < count, let more = try await inbound.next() { bytes += Array(buffer: more) }
    return bytes
  }

  @Test func passesEverythingOnInOrder() async throws {
    try await withProxy { proxy in
      let data = (0..<3_000_000).map { UInt8(truncatingIfNeeded: $0 &* 31 >> 3) }
      try await connect(proxy).executeThenClose { inbound, outbound in
        var inbound = inbound.makeAsyncIterator()
        async let _ = outbound.write(ByteBuffer(bytes: data))
        let found = try await Self.read(data.count, from: &inbound)
        #expect(found == data)
      }
    }
  }

  @Test func keepsTheOrderWhileTheWeatherChanges() async throws {
    try await withProxy { proxy in
      let data = (0..<200).map { UInt8($0) }
      try await connect(proxy).executeThenClose { inbound, outbound in
        var inbound = inbound.makeAsyncIterator()
        for (index, byte) in data.enumerated() {
          switch index % 40 {
          case 0: try await proxy.set(.slow(.milliseconds(20)))
          case 20: try await proxy.set(.slow(.milliseconds(1)))
          case 30: try await proxy.set(.clear)
          default: break
          }
          try await outbound.write(ByteBuffer(bytes: [byte]))
        }
        let found = try await Self.read(data.count, from: &inbound)
        #expect(found == data)
      }
    }
  }

  @Test func aStalledConnectionGoesOn() async throws {
    try await withProxy { proxy in
      try await connect(proxy).executeThenClose { inbound, outbound in
        var inbound = inbound.makeAsyncIterator()
        try await outbound.write(ByteBuffer(bytes: [1]))
        let found = try await Self.read(1, from: &inbound)
        #expect(found == [1])
        try await proxy.set(.stalled)
        try await outbound.write(ByteBuffer(bytes: [2, 3]))
        try await proxy.set(.clear)
        let rest = try await Self.read(2, from: &inbound)
        #expect(rest == [2, 3])
      }
    }
  }

  @Test(arguments: [FaultProxy.Ending.close, .reset]) func connectionsEnd(_ ending: FaultProxy.Ending) async throws {
    try await withProxy { proxy in
      try await connect(proxy).executeThenClose { inbound, outbound in
        var inbound = inbound.makeAsyncIterator()
        try await outbound.write(ByteBuffer(bytes: [1]))
        let found = try await Self.read(1, from: &inbound)
        #expect(found == [1])
        let ended = try await proxy.end(ending)
        #expect(ended == 1)
        switch ending {
        case .close:
          let next = try await inbound.next()
          #expect(next == nil)
        case .reset:
          var wasReset = false
          do { _ = try await inbound.next() } catch { wasReset = true }
          #expect(wasReset)
        }
      }
      // The next connection is whole.
      try await connect(proxy).executeThenClose { inbound, outbound in
        var inbound = inbound.makeAsyncIterator()
        try await outbound.write(ByteBuffer(bytes: [7]))
        let found = try await Self.read(1, from: &inbound)
        #expect(found == [7])
      }
    }
  }

  @Test func aTargetThatIsDownEndsTheConnection() async throws {
    let closed = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
      .bind(host: "127.0.0.1", port: 0).get()
    let port = closed.localAddress?.port ?? 0
    try await closed.close().get()
    let proxy = try await FaultProxy(toPort: port)
    let connection = try await connect(proxy)
    try await connection.executeThenClose { inbound, _ in
      var inbound = inbound.makeAsyncIterator()
      var next: ByteBuffer?
      do { next = try await inbound.next() } catch { next = nil }
      #expect(next == nil)
    }
    await proxy.close()
  }
}
