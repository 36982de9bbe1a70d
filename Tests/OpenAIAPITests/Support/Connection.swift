import NIOCore
import NIOPosix

/// A client's side of one TCP connection, byte by byte, so that a test decides what is sent and when it is closed.
final class Connection {
  private var inbound: NIOAsyncChannelInboundStream<ByteBuffer>.AsyncIterator
  private let outbound: NIOAsyncChannelOutboundWriter<ByteBuffer>
  private(set) var received: [UInt8] = []
  private(set) var isAtEnd = false

  private init(
    _ inbound: NIOAsyncChannelInboundStream<ByteBuffer>, _ outbound: NIOAsyncChannelOutboundWriter<ByteBuffer>
  ) {
    self.inbound = inbound.makeAsyncIterator()
    self.outbound = outbound
  }

  /// Opens a connection, and closes it when `body` returns.
  static func open<Result>(to port: Int, _ body: (Connection) async throws -> Result) async throws -> Result {
    let channel = try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
      .connect(host: "127.0.0.1", port: port) { channel in
        channel.eventLoop.makeCompletedFuture {
          try NIOAsyncChannel<ByteBuffer, ByteBuffer>(wrappingChannelSynchronously: channel)
        }
      }
    return try await channel.executeThenClose { inbound, outbound in
      try await body(Connection(inbound, outbound))
    }
  }

  func send(_ bytes: [UInt8]) async throws { try await outbound.write(ByteBuffer(bytes: bytes)) }

  func send(_ text: String) async throws { try await send(Array(text.utf8)) }

  func post(_ path: String, _ body: [UInt8], headers: [String] = []) async throws {
    let lines = ["POST \(path) HTTP/1.1", "Host: test", "Content-Length: \(body.count)"] + headers
    try await send(Array((lines.joined(separator: "\r\n") + "\r\n\r\n").utf8) + body)
  }

  func post(_ path: String, _ body: String, headers: [String] = []) async throws {
    try await post(path, Array(body.utf8), headers: headers)
  }

  /// Reads until what was received holds `text`, or the other side closes.
  func read(until text: String) async throws {
    while !String(decoding: received, as: UTF8.self).contains(text), try await readMore() {}
  }

  func readToEnd() async throws {
    while try await readMore() {}
  }

  /// Takes one whole answer off what is received.
  func readReply() async throws -> Reply {
    while true {
      if let (reply, count) = Reply.parse(received, atEnd: isAtEnd) {
        received.removeFirst(count)
        return reply
      }
      guard try await readMore() else { throw Failure.closed(String(decoding: received, as: UTF8.self)) }
    }
  }

  enum Failure: Error {
    case closed(String)
  }

  private func readMore() async throws -> Bool {
    if isAtEnd { return false }
    do {
      if let buffer = try await inbound.next() {
        received.append(contentsOf: buffer.readableBytesView)
        return true
      }
    } catch is IOError {
      // A reset is an end, too.
    }
    isAtEnd = true
    return Reply.parse(received, atEnd: true) != nil
  }
}
