import NIOCore
import NIOPosix
import ServingTypes

/// Makes a Redis forget everything.
enum RedisFlush {
  /// - Throws: what connecting says; `unavailable` when Redis refuses.
  static func run(port: Int) async throws {
    let channel = try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
      .connect(host: "127.0.0.1", port: port) { channel in
        channel.eventLoop.makeCompletedFuture {
          try NIOAsyncChannel<ByteBuffer, ByteBuffer>(wrappingChannelSynchronously: channel)
        }
      }
    try await channel.executeThenClose { inbound, outbound in
      try await outbound.write(ByteBuffer(string: "FLUSHALL\r\n"))
      for try await reply in inbound {
        guard String(buffer: reply).hasPrefix("+OK") else {
          throw ServingError(.unavailable, "Redis refused FLUSHALL: \(String(buffer: reply))")
        }
        return
      }
    }
  }
}
