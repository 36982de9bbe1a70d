import NIOCore
import NIOHTTP1
import NIOPosix
import ServingTypes

/// Plain HTTP calls to one server, each over a connection of its own.
public struct HTTPClient: Sendable {
  /// `host:port`.
  public let address: String
  private static let connectTimeout = TimeAmount.seconds(10)

  public init(address: String) { self.address = address }

  /// - Returns: the status and the whole body.
  public func get(_ path: String) async throws -> (status: Int, body: String) {
    try await call(.GET, path, body: "")
  }

  /// Posts JSON.
  ///
  /// - Parameter onPart: called with each part of the body as it comes, on the connection's thread.
  /// - Returns: the status, and the whole body where there is no `onPart`.
  public func post(
    _ path: String, json: String, onPart: (@Sendable (ByteBuffer) -> Void)? = nil
  ) async throws -> (status: Int, body: String) {
    try await call(.POST, path, body: json, onPart: onPart)
  }

  private func call(
    _ method: HTTPMethod, _ path: String, body: String, onPart: (@Sendable (ByteBuffer) -> Void)? = nil
  ) async throws -> (status: Int, body: String) {
    guard let colon = address.lastIndex(of: ":"), let port = Int(address[address.index(after: colon)...]) else {
      throw ServingError(.invalidArgument, "'\(address)' is no host:port")
    }
    let headers: HTTPHeaders = [
      "Host": address, "Connection": "close", "Content-Type": "application/json",
      "Content-Length": "\(body.utf8.count)",
    ]
    let head = HTTPRequestHead(version: .http1_1, method: method, uri: path, headers: headers)
    let (channel, answer) = try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
      .connectTimeout(Self.connectTimeout)
      .connect(host: String(address[..<colon]), port: port) { channel in
        channel.eventLoop.makeCompletedFuture {
          let promise = channel.eventLoop.makePromise(of: Answer.self)
          try channel.pipeline.syncOperations.addHTTPClientHandlers()
          try channel.pipeline.syncOperations.addHandler(
            Call(head: head, body: ByteBuffer(string: body), onPart: onPart, promise: promise))
          return (channel, promise.futureResult)
        }
      }
    let result = try await withTaskCancellationHandler {
      try await answer.get()
    } onCancel: {
      channel.close(promise: nil)
    }
    return (result.status, String(buffer: result.body))
  }

  private struct Answer: Sendable {
    var status: Int
    var body = ByteBuffer()
  }

  /// Asks once, and answers its promise in any case.
  private final class Call: ChannelInboundHandler {
    typealias InboundIn = HTTPClientResponsePart
    typealias OutboundOut = HTTPClientRequestPart

    private let head: HTTPRequestHead
    private let body: ByteBuffer
    private let onPart: (@Sendable (ByteBuffer) -> Void)?
    private let promise: EventLoopPromise<Answer>
    private var answer = Answer(status: 0)

    init(
      head: HTTPRequestHead, body: ByteBuffer, onPart: (@Sendable (ByteBuffer) -> Void)?,
      promise: EventLoopPromise<Answer>
    ) {
      self.head = head
      self.body = body
      self.onPart = onPart
      self.promise = promise
    }

    func channelActive(context: ChannelHandlerContext) {
      context.write(wrapOutboundOut(.head(head)), promise: nil)
      if body.readableBytes > 0 { context.write(wrapOutboundOut(.body(.byteBuffer(body))), promise: nil) }
      context.writeAndFlush(wrapOutboundOut(.end(nil)), promise: nil)
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
      switch unwrapInboundIn(data) {
      case .head(let head): answer.status = Int(head.status.code)
      case .body(var part):
        if let onPart, answer.status == 200 { onPart(part) } else { answer.body.writeBuffer(&part) }
      case .end:
        promise.succeed(answer)
        context.close(promise: nil)
      }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
      promise.fail(error)
      context.close(promise: nil)
    }

    func handlerRemoved(context: ChannelHandlerContext) {
      promise.fail(ServingError(.unavailable, "the connection ended before the answer"))
    }
  }
}
