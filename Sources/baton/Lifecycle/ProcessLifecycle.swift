import Foundation
import Logging
import ServiceLifecycle
import UnixSignals

/// Runs a process's services until they end or a signal asks them to.
enum ProcessLifecycle {
  /// SIGTERM or SIGINT drains: no new requests, running ones may end. A second signal stops at once.
  ///
  /// - Parameters:
  ///   - services: stopped in the opposite order.
  ///   - drainTimeout: what the services allow running requests; a little later all are cancelled.
  static func run(_ services: [any Service], drainTimeout: Duration, logger: Logger) async throws {
    var configuration = ServiceGroupConfiguration(
      services: services.map { .init(service: $0) }, logger: quiet(logger))
    configuration.maximumGracefulShutdownDuration = drainTimeout + .seconds(10)
    let group = ServiceGroup(configuration: configuration)
    let signals = await UnixSignalsSequence(trapping: .sigterm, .sigint)
    try await withThrowingTaskGroup(of: Void.self) { tasks in
      tasks.addTask { try await group.run() }
      tasks.addTask {
        var seen = 0
        for await signal in signals {
          seen += 1
          if seen == 1 {
            logger.notice("draining", metadata: ["signal": "\(signal)"])
            await group.triggerGracefulShutdown()
          } else {
            logger.warning("stopping at once", metadata: ["signal": "\(signal)"])
            _exit(130)
          }
        }
        try await Task.sleep(for: .seconds(3600 * 24 * 365))
      }
      // The services' end, whatever its cause, ends the wait for signals.
      defer { tasks.cancelAll() }
      try await tasks.next()
    }
    logger.notice("stopped")
  }

  /// The group's own messages matter only when something is wrong.
  private static func quiet(_ logger: Logger) -> Logger {
    var quiet = logger
    quiet.logLevel = max(.warning, logger.logLevel)
    return quiet
  }
}
