import Routing
import ServiceLifecycle

/// Carries the router's requests; on shutdown it takes nothing new and lets what runs come to its end.
struct RouterService: Service {
  let router: RequestRouter
  let drainTimeout: Duration

  func run() async throws {
    await withTaskGroup(of: Void.self) { group in
      group.addTask { await router.run() }
      group.addTask {
        try? await gracefulShutdown()
        if !Task.isCancelled { await router.drain(timeout: drainTimeout) }
      }
      await group.next()
      group.cancelAll()
    }
  }
}
