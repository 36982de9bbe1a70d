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

  /// Binds the address; connections wait until `run()`.
  ///
  /// - Parameter queue: serves the calls, and runs their handlers.
  init(router: RequestRouter, settings: ServerSettings, queue: CompletionQueue) throws(ServingError) {
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
      var interceptors: [any ServerInterceptor] = []
      if let token = settings.authToken { interceptors.append(try AuthenticationInterceptor(token: token)) }
      server = GRPCServer(transport: transport, services: services, interceptors: interceptors)
      health.set(.serving)
      health.set(.serving, for: name)
    } catch {
      throw ServingError(any: error)
    }
  }

  /// With the real port where 0 was asked for.
  var boundAddress: String { server.transport.address }

  func run() async throws {
    try await withGracefulShutdownHandler {
      try await server.serve()
    } onGracefulShutdown: {
      health.shutDown()
      server.beginGracefulShutdown()
    }
  }
}
