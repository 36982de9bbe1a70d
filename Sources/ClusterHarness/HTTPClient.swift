import NIOCore
import NIOHTTP1
import NIOPosix
import ServingTypes

/// Plain HTTP calls to one server, each over a connection of its own.
public struct HTTPClient: Sendable {
  /// `host:port`, an IPv6 host in brackets.
  public let address: String
  private let timeout: Duration?
  private let maximumBytes: Int
  private static let connectTimeout = TimeAmount.seconds(10)

  /// - Parameters:
  ///   - timeout: from the connection to the answer's end.
  ///   - maximumBytes: of a body that is returned whole.
  public init(address: String, timeout: Duration? = nil, maximumBytes: Int = 64 << 20) {
    self.address = address
    self.timeout = timeout
    self.maximumBytes = maximumBytes
  }

  public func get(_ path: String) async throws -> HTTPAnswer {
    try await call(.GET, path, body: nil)
  }

  /// Posts JSON.
  ///
  /// - Parameter onPart: called with each part of the body as it comes, on the connection's thread.
  /// - Returns: without the body where there is an `onPart`.
  public func post(
    _ path: String, json: String, onPart: (@Sendable (ByteBuffer) -> Void)? = nil
  ) async throws -> HTTPAnswer {
    try await call(.POST, path, body: ByteBuffer(string: json), onPart: onPart)
  }

  /// Posts bytes that claim to be JSON.
  public func post(_ path: String, bytes: [UInt8]) async throws -> HTTPAnswer {
    try await call(.POST, path, body: ByteBuffer(bytes: bytes))
  }

  private func call(
    _ method: HTTPMethod, _ path: String, body: ByteBuffer?, onPart: (@Sendable (ByteBuffer) -> Void)? = nil
  ) async throws -> HTTPAnswer {
    guard let colon = address.lastIndex(of: ":"), let port = Int(address[address.index(after: colon)...]) else {
      throw ServingError(.invalidArgument, "'\(address)' is no host:port")
    }
    var headers: HTTPHeaders = ["Host": address, "Connection": "close"]
    if let body {
      headers.add(name: "Content-Type", value: "application/json")
      headers.add(name: "Content-Length", value: "\(body.readableBytes)")
    }
    let head = HTTPRequestHead(version: .http1_1, method: method, uri: path, headers: headers)
    let (channel, answer) = try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
      .connectTimeout(Self.connectTimeout)
      .connect(host: address[..<colon].filter { $0 != "[" && $0 != "]" }, port: port) { channel in
        channel.eventLoop.makeCompletedFuture {
          let promise = channel.eventLoop.makePromise(of: Answer.self)
          try channel.pipeline.syncOperations.addHTTPClientHandlers()
          try channel.pipeline.syncOperations.addHandler(
            Call(self, head: head, body: body, onPart: onPart, promise: promise))
          return (channel, promise.futureResult)
        }
      }
    let result = try await withTaskCancellationHandler {
      try await answer.get()
    } onCancel: {
      channel.close(promise: nil)
    }
    return HTTPAnswer(status: result.status, headers: result.headers, body: String(buffer: result.body))
  }

  private struct Answer: Sendable {
    var status: Int
    var headers: [String: String] = [:]
    var body = ByteBuffer()
  }

  /// Asks once, and answers its promise in any case.
  private final class Call: ChannelInboundHandler {
    typealias InboundIn = HTTPClientResponsePart
    typealias OutboundOut = HTTPClientRequestPart

    private let client: HTTPClient
    private let head: HTTPRequestHead
    private let body: ByteBuffer?
    private let onPart: (@Sendable (ByteBuffer) -> Void)?
    private let promise: EventLoopPromise<Answer>
    private var answer = Answer(status: 0)

    init(
      _ client: HTTPClient, head: HTTPRequestHead, body: ByteBuffer?, onPart: (@Sendable (ByteBuffer) -> Void)?,
      promise: EventLoopPromise<Answer>
    ) {
      self.client = client
      self.head = head
      self.body = body
      self.onPart = onPart
      self.promise = promise
    }

    func channelActive(context: ChannelHandlerContext) {
      context.write(wrapOutboundOut(.head(head)), promise: nil)
      if let body, body.readableBytes > 0 { context.write(wrapOutboundOut(.body(.byteBuffer(body))), promise: nil) }
      context.writeAndFlush(wrapOutboundOut(.end(nil)), promise: nil)
      guard let timeout = client.timeout else { return }
      let (channel, promise) = (context.channel, promise)
      let expiry = context.eventLoop.scheduleTask(in: TimeAmount(timeout)) {
        promise.fail(ServingError(.deadlineExceeded, "no answer within \(timeout)"))
        channel.close(promise: nil)
      }
      promise.futureResult.whenComplete { _ in expiry.cancel() }
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
      switch unwrapInboundIn(data) {
      case .head(let head):
        answer.status = Int(head.status.code)
        for header in head.headers { answer.headers[header.name.lowercased()] = header.value }
      case .body(var part):
        if let onPart, answer.status == 200 { return onPart(part) }
        guard answer.body.readableBytes + part.readableBytes <= client.maximumBytes else {
          promise.fail(ServingError(.resourceExhausted, "the answer is longer than \(client.maximumBytes) bytes"))
          return context.close(promise: nil)
        }
        answer.body.writeBuffer(&part)
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
