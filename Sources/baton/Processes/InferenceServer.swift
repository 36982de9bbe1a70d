import GRPCCore
import GRPCTransport
import RPC
import RouterServer
import Routing
import ServiceLifecycle
import ServingProtos
import ServingTypes

/// The router's gRPC server: Inference, health and reflection.
struct InferenceServer: Service {
  private let server: GRPCServer<LibGRPCServerTransport>
  private let health = HealthService()
  private let router: RequestRouter
  private let livenessTimeout: Duration

  /// Binds the address; connections wait until `run()`.
  ///
  /// - Parameter queue: serves the calls, and runs their handlers.
  init(router: RequestRouter, settings: ServerSettings, queue: CompletionQueue) throws(ServingError) {
    self.router = router
    livenessTimeout = settings.livenessTimeout
    do {
      var configuration = try settings.serverTransport()
      configuration.runsHandlersOnQueue = true
      configuration.sendsAhead = true
      let transport = try LibGRPCServerTransport(
        address: settings.listen, configuration: configuration, queue: queue)
      let name = Baton_V1_Inference.descriptor.fullyQualifiedService
      let services: [any RegistrableRPCService] = [
        InferenceService(router: router), health, try ReflectionService(services: [name, "grpc.health.v1.Health"]),
      ]
      var interceptors: [any ServerInterceptor] = [TraceInterceptor()]
      if let token = settings.authToken { interceptors.append(try AuthenticationInterceptor(token: token)) }
      server = GRPCServer(transport: transport, services: services, interceptors: interceptors)
    } catch {
      throw ServingError(any: error)
    }
  }

  /// With the real port where 0 was asked for.
  var boundAddress: String { server.transport.address }

  /// Says in the health service that nothing new is welcome.
  func withdraw() { health.shutDown() }

  func run() async throws {
    try await withGracefulShutdownHandler {
      try await withThrowingTaskGroup(of: Void.self) { group in
        group.addTask { try await server.serve() }
        group.addTask { try await watch() }
        defer { group.cancelAll() }
        try await group.next()
      }
    } onGracefulShutdown: {
      health.shutDown()
      server.beginGracefulShutdown()
    }
  }

  /// Keeps the health service's answers those of `/readyz` and `/livez`.
  private func watch() async throws {
    let name = Baton_V1_Inference.descriptor.fullyQualifiedService
    while true {
      let isReady = router.unreadyReason == nil
      for service in ["", name] { health.set(isReady ? .serving : .notServing, for: service) }
      health.set(router.isLive(within: livenessTimeout) ? .serving : .notServing, for: HealthService.liveness)
      try await Task.sleep(for: .milliseconds(250))
    }
  }
}
