import NIOCore
import NIOPosix
import ServingTypes

/// A TCP proxy before one server, which can do to its connections what networks do.
///
/// Bytes are neither lost nor changed: TCP does not let that happen. Any thread may call.
public final class FaultProxy: Sendable {
  /// What happens to all connections, those to come included.
  public enum Weather: Hashable, Sendable {
    case clear
    /// Every piece of data takes so much longer, in each direction.
    case slow(Duration)
    /// Nothing moves and nobody is told: a cable pulled, or a peer that froze.
    case stalled
  }

  /// How connections end.
  public enum Ending: Hashable, Sendable {
    /// In order (FIN).
    case close
    /// With a reset (RST): what was under way is lost.
    case reset
  }

  private let group: any EventLoopGroup
  private let loop: any EventLoop
  private let core: NIOLoopBound<ProxyConnections>
  private let listener: any Channel

  /// Where clients connect.
  public let port: Int

  /// - Throws: `unavailable` when no port can be bound.
  public init(toPort target: Int, group: any EventLoopGroup = MultiThreadedEventLoopGroup.singleton) async throws {
    self.group = group
    let loop = group.next()
    self.loop = loop
    let core = try await loop.submit { NIOLoopBound(ProxyConnections(), eventLoop: loop) }.get()
    self.core = core
    // Everything on one loop: the two halves of a connection touch each other's state.
    listener = try await ServerBootstrap(group: loop)
      .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
      .childChannelOption(.autoRead, value: false)
      .childChannelInitializer { client in
        ClientBootstrap(group: loop)
          .channelOption(.autoRead, value: false)
          .connect(host: "127.0.0.1", port: target)
          .flatMap { server in
            server.eventLoop.makeCompletedFuture {
              do {
                try core.value.join(client, server)
              } catch {
                server.close(promise: nil)
                throw error
              }
            }
          }
          // A target that is down looks to the client as it would without a proxy: refused.
          .flatMapErrorThrowing { error in
            client.close(promise: nil)
            throw error
          }
      }
      .bind(host: "127.0.0.1", port: 0).get()
    guard let port = listener.localAddress?.port else {
      throw ServingError(.unavailable, "the proxy has no port")
    }
    self.port = port
  }

  public func set(_ weather: Weather) async throws {
    let core = core
    try await loop.submit { core.value.set(weather) }.get()
  }

  /// Ends the connections that there are. Returns their number.
  @discardableResult
  public func end(_ ending: Ending) async throws -> Int {
    let core = core
    return try await loop.submit { core.value.end(ending) }.get()
  }

  public func close() async {
    try? await listener.close().get()
    _ = try? await end(.reset)
  }
}
