import HTTPTypes
import Logging
import Observability
import ServiceLifecycle
import ServingTypes

/// OpenAI's HTTP API, with the operator's paths and a status page beside it.
///
/// `/v1/completions`, `/v1/chat/completions`, `/v1/models`, `/v1/models/{id}`; `/metrics`, `/livez`, `/readyz`; `/`.
/// A client that closes its connection cancels its generation.
public struct OpenAIServer: Service {
  /// Where it listens, once it does.
  public var boundPort: BoundPort { listener.boundPort }

  private let configuration: OpenAIServerConfiguration
  private let backend: InferenceBackend
  private let metrics: APIMetrics
  private let monitoring: MonitoringRoutes
  private let handler: GenerationHandler
  private let keys: APIKeys
  private let gate: RequestGate
  private let listener: HTTPListener
  private let logger: Logger
  private let start = ContinuousClock.now

  public init(
    configuration: OpenAIServerConfiguration, backend: InferenceBackend, registry: MetricsRegistry, logger: Logger
  ) {
    self.configuration = configuration
    self.backend = backend
    self.logger = logger
    let metrics = APIMetrics(registry: registry)
    self.metrics = metrics
    monitoring = MonitoringRoutes(registry: registry, liveness: backend.liveness, readiness: backend.readiness)
    handler = GenerationHandler(backend: backend, metrics: metrics, requestTimeout: configuration.requestTimeout)
    keys = APIKeys(configuration.apiKeys)
    gate = RequestGate(limit: configuration.maximumRequests)
    listener = HTTPListener(configuration: configuration.listen, logger: logger) { metrics.abandoned($0) }
  }

  public func run() async throws {
    try await listener.run { exchange in
      let arrival = ContinuousClock.now
      let route = Self.route(exchange.path)
      var failure: APIError?
      defer {
        let seconds = (ContinuousClock.now - arrival).inSeconds
        let status = exchange.status ?? failure?.status ?? 499
        metrics.finished(route: route, status: status, seconds: seconds)
        logger.debug(
          "request answered",
          metadata: [
            "request_id": "\(exchange.requestID)", "trace_id": "\(exchange.trace.traceID)", "path": "\(route)",
            "status": "\(status)", "seconds": "\(seconds)",
          ])
      }
      do {
        try await respond(exchange, route: route)
      } catch let abandonment as HTTPListener.Abandonment {
        throw abandonment
      } catch {
        failure = APIError(error)
        throw error
      }
    }
  }

  /// The path as metrics know it: a limited set, whatever clients ask for.
  private static func route(_ path: String) -> String {
    switch path {
    case "/", "/v1/completions", "/v1/chat/completions", "/v1/models": path
    case _ where path.hasPrefix("/v1/models/"): "/v1/models/{id}"
    case _ where MonitoringRoutes.paths.contains(path): path
    default: "other"
    }
  }

  private func respond(_ exchange: HTTPExchange, route: String) async throws {
    if exchange.path.hasPrefix("/v1/"), !keys.admit(exchange.headers[.authorization]) {
      throw APIError(
        ServingError(.unauthenticated, "no valid API key was given; send it as 'Authorization: Bearer KEY'"))
    }
    switch route {
    case "/v1/completions":
      try require(.post, exchange)
      try await generate(exchange) { body in
        try GenerationCall(CompletionRequest(body))
      }
    case "/v1/chat/completions":
      try require(.post, exchange)
      try await generate(exchange) { body in
        GenerationCall(try ChatCompletionRequest(body))
      }
    case "/v1/models":
      try require(.get, exchange)
      try await exchange.send(status: 200, type: "application/json", ModelsEncoder.list(await backend.models()))
    case "/v1/models/{id}":
      try require(.get, exchange)
      let id = String(exchange.path.dropFirst("/v1/models/".count))
      let models = await backend.models()
      guard let model = models.first(where: { $0.id == id }) else {
        let names = models.map(\.id).joined(separator: ", ")
        throw ServingError(.notFound, "there is no model '\(id)'; served are: \(names.isEmpty ? "none" : names)")
      }
      try await exchange.send(status: 200, type: "application/json", ModelsEncoder.one(model))
    case "/" where configuration.servesStatusPage:
      try require(.get, exchange)
      try await sendStatusPage(exchange)
    case _ where MonitoringRoutes.paths.contains(route):
      try require(.get, exchange)
      try await monitoring.respond(exchange)
    default:
      throw APIError(status: 404, message: "there is nothing at \(exchange.path)", code: "unknown_url")
    }
  }

  private func require(_ method: HTTPRequest.Method, _ exchange: HTTPExchange) throws(APIError) {
    if exchange.method == method || (method == .get && exchange.method == .head) { return }
    throw APIError(
      status: 405, message: "\(exchange.path) answers \(method.rawValue) only", code: "method_not_allowed")
  }

  private func generate(
    _ exchange: HTTPExchange, decode: ([UInt8]) throws -> GenerationCall
  ) async throws {
    guard gate.enter() else {
      metrics.countRefusal()
      throw ServingError(
        .resourceExhausted, "\(gate.limit) requests are in flight, the most that are served at a time",
        retryAfter: .seconds(1))
    }
    metrics.inFlight.add(1)
    metrics.requestRate.record()
    defer {
      gate.leave()
      metrics.inFlight.add(-1)
    }
    let allowance = BodyAllowance(backend.bodies)
    defer { withExtendedLifetime(allowance) {} }
    let call: GenerationCall
    do {
      call = try decode(try await exchange.readBody(limit: configuration.maximumBodyBytes, allowance: allowance))
    } catch let error as ServingError where error.code == .resourceExhausted {
      metrics.countRefusal()
      throw error
    }
    try await handler.respond(call, exchange)
  }

  private func sendStatusPage(_ exchange: HTTPExchange) async throws {
    let page = StatusPage(
      report: await backend.status(), models: await backend.models().map(\.id), readiness: await backend.readiness(),
      inFlight: gate.inFlight, requestsPerSecond: metrics.requestRate.perSecond(),
      tokensPerSecond: metrics.tokenRate.perSecond(), uptime: (ContinuousClock.now - start).components.seconds)
    try await exchange.send(
      status: 200,
      headers: [
        .cacheControl: "no-store", .contentSecurityPolicy: "default-src 'none'; style-src 'unsafe-inline'",
      ], type: "text/html; charset=utf-8", Array(page.html.utf8))
  }
}

extension HTTPField.Name {
  /// Tells proxies not to gather a stream's events.
  static let accelBuffering = HTTPField.Name("X-Accel-Buffering") ?? .via
}
