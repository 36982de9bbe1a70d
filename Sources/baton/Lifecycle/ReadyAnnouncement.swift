import Logging
import ServiceLifecycle

/// Logs one line `ready` with the addresses that were bound, for operators and scripts that gave port 0.
struct ReadyAnnouncement: Service {
  let logger: Logger
  /// Waits until the process listens; returns the line's metadata.
  let addresses: @Sendable () async throws -> Logger.Metadata

  func run() async throws {
    do {
      let metadata = try await cancelWhenGracefulShutdown { try await addresses() }
      logger.info("ready", metadata: metadata)
    } catch is CancellationError {
      // It is asked to end before it was ready.
    }
    try? await gracefulShutdown()
  }
}
