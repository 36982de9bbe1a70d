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

  private static let hello = "HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\nhello world"

  private func serve(_ reply: String?, host: String = "127.0.0.1") async throws -> (server: any Channel, port: Int) {
    let server = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
      .childChannelInitializer { channel in
        channel.eventLoop.makeCompletedFuture { try channel.pipeline.syncOperations.addHandler(Replier(reply)) }
      }
      .bind(host: host, port: 0).get()
    return (server, server.localAddress?.port ?? 0)
  }

  @Test func aBodyMayBeAsLongAsTheLimit() async throws {
    let (server, port) = try await serve(Self.hello)
    let answer = try await HTTPClient(address: "127.0.0.1:\(port)", maximumBytes: 11).get("/")
    #expect(answer.status == 200 && answer.body == "hello world")
    let error = await #expect(throws: ServingError.self) {
      try await HTTPClient(address: "127.0.0.1:\(port)", maximumBytes: 10).get("/")
    }
    #expect(error?.code == .resourceExhausted)
    try await server.close()
  }

  @Test func silenceEndsWithTheTimeout() async throws {
    let (server, port) = try await serve(nil)
    let error = await #expect(throws: ServingError.self) {
      try await HTTPClient(address: "127.0.0.1:\(port)", timeout: .milliseconds(50)).get("/")
    }
    #expect(error?.code == .deadlineExceeded)
    try await server.close()
  }

  @Test func anIPv6HostStandsInBrackets() async throws {
    guard let (server, port) = try? await serve(Self.hello, host: "::1") else { return }
    #expect(try await HTTPClient(address: "[::1]:\(port)").get("/").status == 200)
    try await server.close()
  }
}
