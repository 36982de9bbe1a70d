import Foundation
import NIOCore
import NIOHTTP1
import NIOPosix
import Observability
import ServingTypes

/// A live process's `/metrics`.
struct MetricsSource: Sendable {
  /// As it was given.
  let url: String
  private let host: String
  private let port: Int
  private let path: String

  private static let timeout = TimeAmount.seconds(10)
  private static let maximumBytes = 16 << 20

  /// - Parameter url: `http://host:port`; the path is `/metrics` where it names none.
  init(_ url: String) throws(ServingError) {
    guard let parts = URLComponents(string: url), parts.scheme == "http", let host = parts.host, !host.isEmpty else {
      throw ServingError(.invalidArgument, "--url is '\(url)'; http://host:port is wanted")
    }
    self.url = url
    self.host = host.filter { $0 != "[" && $0 != "]" }
    port = parts.port ?? 80
    path = parts.percentEncodedPath.isEmpty || parts.percentEncodedPath == "/" ? "/metrics" : parts.percentEncodedPath
  }

  /// One reading.
  ///
  /// - Throws: `unavailable` when nobody answers in time, or somebody else does.
  func read() async throws(ServingError) -> MetricsSnapshot {
    let response: NIOHTTPClientResponseFull
    do {
      response = try await get()
    } catch {
      throw ServingError(.unavailable, "can't read \(url): \(error)")
    }
    guard response.head.status == .ok else {
      throw ServingError(.unavailable, "can't read \(url): HTTP status \(response.head.status.code)")
    }
    let snapshot: MetricsSnapshot
    do {
      snapshot = try MetricsSnapshot(parsing: String(buffer: response.body ?? ByteBuffer()))
    } catch {
      throw ServingError(.unavailable, "can't read \(url): \(error.message)")
    }
    guard snapshot.isBaton else { throw ServingError(.unavailable, "\(url) has no metric that begins with baton_") }
    return snapshot
  }

  private func get() async throws -> NIOHTTPClientResponseFull {
    let response = try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
      .connectTimeout(Self.timeout)
      .connect(host: host, port: port) { [host, port, path] channel in
        channel.eventLoop.makeCompletedFuture {
          let promise = channel.eventLoop.makePromise(of: NIOHTTPClientResponseFull.self)
          try channel.pipeline.syncOperations.addHTTPClientHandlers()
          try channel.pipeline.syncOperations.addHandler(
            NIOHTTPClientResponseAggregator(maxContentLength: Self.maximumBytes))
          try channel.pipeline.syncOperations.addHandler(
            Get(path: path, host: host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)", promise: promise))
          return promise.futureResult
        }
      }
    return try await response.get()
  }

  /// Asks once, and answers its promise in any case.
  private final class Get: ChannelInboundHandler {
    typealias InboundIn = NIOHTTPClientResponseFull
    typealias OutboundOut = HTTPClientRequestPart

    private let path: String
    private let host: String
    private let promise: EventLoopPromise<NIOHTTPClientResponseFull>

    init(path: String, host: String, promise: EventLoopPromise<NIOHTTPClientResponseFull>) {
      self.path = path
      self.host = host
      self.promise = promise
    }

    func channelActive(context: ChannelHandlerContext) {
      let headers: HTTPHeaders = ["Host": host, "Connection": "close", "Accept": "text/plain"]
      context.write(
        wrapOutboundOut(.head(HTTPRequestHead(version: .http1_1, method: .GET, uri: path, headers: headers))),
        promise: nil)
      context.writeAndFlush(wrapOutboundOut(.end(nil)), promise: nil)
      let channel = context.channel
      let promise = promise
      let expiry = context.eventLoop.scheduleTask(in: MetricsSource.timeout) {
        promise.fail(ServingError(.deadlineExceeded, "no answer within 10 seconds"))
        channel.close(promise: nil)
      }
      promise.futureResult.whenComplete { _ in expiry.cancel() }
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
      promise.succeed(unwrapInboundIn(data))
      context.close(promise: nil)
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
