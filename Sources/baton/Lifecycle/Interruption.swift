import ServingTypes
import UnixSignals

/// Runs `body`, cancelled by SIGINT or SIGTERM, so that it can put away what it has started.
func untilInterrupted<Result: Sendable>(
  _ body: @Sendable @escaping () async throws -> Result
) async throws -> Result {
  let signals = await UnixSignalsSequence(trapping: .sigterm, .sigint)
  return try await withThrowingTaskGroup(of: Result?.self) { group in
    group.addTask {
      for await _ in signals { throw ServingError(.cancelled, "interrupted") }
      return nil
    }
    group.addTask { try await body() }
    defer { group.cancelAll() }
    while let result = try await group.next() {
      if let result { return result }
    }
    throw ServingError(.internalError, "ended without a result")
  }
}
