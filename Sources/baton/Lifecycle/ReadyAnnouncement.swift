import Logging
import ServiceLifecycle

/// Logs one line `ready` with the addresses that were bound, for operators and scripts that gave port 0.
struct ReadyAnnouncement: Service {
  let logger: Logger
  /// Waits until the process listens; returns the line's metadata.
  let addresses: @Sendable () async throws -> Logger.Metadata

  func run() async throws {
    let metadata = try await addresses()
    logger.info("ready", metadata: metadata)
    try? await gracefulShutdown()
  }
}
