import ServingTypes

/// What a schedule did wrong, and what its workers logged.
final class Findings: Sendable {
  private let state = Lock<(failures: [String], handoffErrors: [String])>(([], []))

  var failures: [String] { state.withLock { $0.failures } }
  var handoffErrors: [String] { state.withLock { $0.handoffErrors } }

  func fail(_ failure: String) { state.withLock { $0.failures.append(failure) } }
  func handoffFailed(_ error: String) { state.withLock { $0.handoffErrors.append(error) } }
}
