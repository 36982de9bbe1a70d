import Observability

/// What every process answers for its operator: `/metrics`, `/livez` and `/readyz`.
struct MonitoringRoutes: Sendable {
  let registry: MetricsRegistry
  let liveness: @Sendable () async -> Readiness
  let readiness: @Sendable () async -> Readiness

  static let paths: Set<String> = ["/metrics", "/livez", "/readyz", "/health"]

  func respond(_ exchange: HTTPExchange) async throws {
    switch exchange.path {
    case "/metrics":
      try await exchange.send(
        status: 200, type: "text/plain; version=0.0.4; charset=utf-8", Array(registry.exposition().utf8))
    case "/livez": try await send(await liveness(), exchange)
    default: try await send(await readiness(), exchange)
    }
  }

  private func send(_ state: Readiness, _ exchange: HTTPExchange) async throws {
    switch state {
    case .ready: try await exchange.send(status: 200, type: "text/plain; charset=utf-8", Array("ok\n".utf8))
    case .notReady(let reason):
      try await exchange.send(status: 503, type: "text/plain; charset=utf-8", Array("\(reason)\n".utf8))
    }
  }
}
