import Routing
import ServiceLifecycle

/// Carries the router's requests. It is stopped after everything that brings some.
struct RouterService: Service {
  let router: RequestRouter

  func run() async throws {
    await withTaskGroup(of: Void.self) { group in
      group.addTask {
        await router.run()
        // A router that gave up what was left is done, but those who ask still get its refusals.
        try? await gracefulShutdown()
      }
      group.addTask { try? await gracefulShutdown() }
      await group.next()
      group.cancelAll()
    }
  }
}
