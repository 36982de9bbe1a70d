import Routing
import ServiceLifecycle

/// Lets a router's requests come to their end, while HTTP and gRPC still say that nothing new is welcome. It is the last of
/// the services, so that the others are stopped only after it.
struct RouterDrain: Service {
  let router: RequestRouter
  let inference: InferenceServer
  let timeout: Duration

  func run() async throws {
    try? await gracefulShutdown()
    if Task.isCancelled { return }
    router.beginDraining()
    inference.withdraw()
    await router.drain(timeout: timeout)
  }
}
