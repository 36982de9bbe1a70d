import HummingbirdCore
import Logging
import NIOCore
import NIOPosix
import ServiceLifecycle
import ServingTypes

/// Accepts connections and hands each request to `handle`, which is cancelled when the client goes away.
struct HTTPListener: Sendable {
  /// Why an answer was given up.
  enum Abandonment: Error {
    case clientGone
    case clientStalled
  }

  let configuration: HTTPListenerConfiguration
  let logger: Logger
  let boundPort = BoundPort()
  /// Called when a client went away before its answer was finished.
  var onAbandoned: @Sendable (Abandonment) -> Void = { _ in }

  /// Serves until the task is cancelled, or a graceful shutdown was asked for and the running requests have ended.
  ///
  /// - Parameter handle: answers one exchange. An error that it throws is sent when no answer was begun.
  func run(handle: @escaping @Sendable (HTTPExchange) async throws -> Void) async throws {
    defer { boundPort.resolve(.failure(ServingError(.unavailable, "the server has ended"))) }
    let builder = HTTPServerBuilder.http1(
      configuration: .init(
        additionalChannelHandlers: [DisconnectObserver()],
        idleTimeout: .nanoseconds(Int64(configuration.idleTimeout / .nanoseconds(1)))))
    let server = try builder.buildServer(
      configuration: ServerConfiguration(
        address: .hostname(configuration.host, port: configuration.port),
        availableConnectionsDelegate: MaximumAvailableConnections(configuration.maximumConnections, logger: logger)),
      eventLoopGroup: MultiThreadedEventLoopGroup.singleton, logger: logger,
      responder: { request, writer, channel in
        try await respond(HTTPExchange(request, writer), on: channel, handle)
      },
      onServerRunning: { channel in
        boundPort.resolve(.success(channel.localAddress?.port ?? configuration.port))
      })
    do {
      try await server.run()
    } catch {
      let place = "\(configuration.host):\(configuration.port)"
      throw ServingError(.unavailable, "cannot listen on \(place): \(error)")
    }
  }

  private func respond(
    _ exchange: HTTPExchange, on channel: any Channel, _ handle: @escaping @Sendable (HTTPExchange) async throws -> Void
  ) async throws {
    let observer = try await channel.pipeline.handler(type: DisconnectObserver.self).get()
    do {
      try await withThrowingTaskGroup(of: Void.self) { group in
        group.addTask { try await answer(exchange, handle) }
        group.addTask {
          await observer.waitForClose()
          try Task.checkCancellation()
          throw Abandonment.clientGone
        }
        group.addTask { try await watchForStall(exchange) }
        // The first to end decides: the answer, the client's going away, or its failure to read.
        defer { group.cancelAll() }
        try await group.next()
      }
    } catch let abandonment as Abandonment {
      onAbandoned(abandonment)
      logger.debug(
        "client gone", metadata: ["request_id": "\(exchange.requestID)", "reason": "\(abandonment)"])
      channel.close(promise: nil)
      throw abandonment
    }
    if exchange.closesConnection || !exchange.isFinished {
      await exchange.drain(limit: Self.drainLimit)
      channel.close(promise: nil)
    }
  }

  /// Bytes of a refused body that are still read before the connection is closed.
  private static let drainLimit = 32 << 20

  private func answer(
    _ exchange: HTTPExchange, _ handle: @Sendable (HTTPExchange) async throws -> Void
  ) async throws {
    do {
      try await handle(exchange)
    } catch {
      try Task.checkCancellation()
      let apiError = APIError(error)
      if apiError.status == 500 {
        logger.error("request failed", metadata: ["request_id": "\(exchange.requestID)", "error": "\(error)"])
      }
      guard exchange.status == nil else { throw error }
      try await exchange.send(apiError)
    }
  }

  private func watchForStall(_ exchange: HTTPExchange) async throws {
    let limit = configuration.writeTimeout
    while true {
      let rest = limit - exchange.writeStall
      if rest <= .zero { throw Abandonment.clientStalled }
      try await Task.sleep(for: rest)
    }
  }
}
