import ClusterHarness
import NIOCore
import NIOPosix
import ServingTypes
import Testing

/// Over real sockets, with a server that says the same to everybody, or nothing.
@Suite struct HTTPClientTests {
  private final class Replier: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private let reply: String?

    init(_ reply: String?) { self.reply = reply }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
      guard let reply else { return }
      context.writeAndFlush(wrapOutboundOut(ByteBuffer(string: reply)), promise: nil)
    }
  }

  private static let hello = "HTTP/1.1 200 OK\r\nContent-Length: 11\r\nRetry-After: 3\r\n\r\nhello world"

  private static let hasIPv6 =
    (try? SocketAddress(ipAddress: "::1", port: 0)).flatMap { address in
      try? ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton).bind(to: address).wait().close().wait()
    } != nil

  private static func withServer(
    _ reply: String?, host: String = "127.0.0.1", _ body: (_ port: Int) async throws -> Void
  ) async throws {
    let server = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
      .childChannelInitializer { channel in
        channel.eventLoop.makeCompletedFuture { try channel.pipeline.syncOperations.addHandler(Replier(reply)) }
      }
      .bind(host: host, port: 0).get()
    do {
      try await body(server.localAddress?.port ?? 0)
    } catch {
      try? await server.close()
      throw error
    }
    try await server.close()
  }

  @Test func aBodyMayBeAsLongAsTheLimit() async throws {
    try await Self.withServer(Self.hello) { port in
      let answer = try await HTTPClient(address: "127.0.0.1:\(port)", maximumBytes: 11).get("/")
      #expect(answer.status == 200 && answer.body == "hello world" && answer.headers["retry-after"] == "3")
      let error = await #expect(throws: ServingError.self) {
        try await HTTPClient(address: "127.0.0.1:\(port)", maximumBytes: 10).get("/")
      }
      #expect(error?.code == .resourceExhausted)
    }
  }

  @Test func silenceEndsWithTheTimeout() async throws {
    try await Self.withServer(nil) { port in
      let error = await #expect(throws: ServingError.self) {
        try await HTTPClient(address: "127.0.0.1:\(port)", timeout: .milliseconds(50)).get("/")
      }
      #expect(error?.code == .deadlineExceeded)
    }
  }

  @Test(.enabled(if: hasIPv6, "needs ::1")) func anIPv6HostStandsInBrackets() async throws {
    try await Self.withServer(Self.hello, host: "::1") { port in
      let answer = try await HTTPClient(address: "[::1]:\(port)").get("/")
      #expect(answer.status == 200)
    }
  }
}
