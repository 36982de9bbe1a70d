import Logging
import Observability
import ServiceLifecycle

/// Serves `/metrics`, `/livez` and `/readyz` of a process that serves no other HTTP.
public struct MonitoringServer: Service {
  /// Where it listens, once it does.
  public var boundPort: BoundPort { listener.boundPort }

  private let routes: MonitoringRoutes
  private let listener: HTTPListener

  /// - Parameters:
  ///   - liveness: fails when only a restart helps.
  ///   - readiness: fails while the process should be sent no work.
  public init(
    listen: HTTPListenerConfiguration, registry: MetricsRegistry,
    liveness: @escaping @Sendable () async -> Readiness = { .ready },
    readiness: @escaping @Sendable () async -> Readiness, logger: Logger
  ) {
    routes = MonitoringRoutes(registry: registry, liveness: liveness, readiness: readiness)
    listener = HTTPListener(configuration: listen, logger: logger)
  }

  public func run() async throws {
    try await listener.run { exchange in
      guard MonitoringRoutes.paths.contains(exchange.path) else {
        throw APIError(status: 404, message: "there is nothing at \(exchange.path)")
      }
      guard exchange.method == .get || exchange.method == .head else {
        throw APIError(status: 405, message: "\(exchange.path) answers GET only")
      }
      try await routes.respond(exchange)
    }
  }
}
