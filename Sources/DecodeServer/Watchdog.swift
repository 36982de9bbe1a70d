import ServingTypes

/// Ends a hand-off that stands still. Its owner puts the deadline off with each message.
final class Watchdog: Sendable {
  private enum State {
    case armed(ContinuousClock.Instant, waitingFor: String)
    /// Something of our own takes the time.
    case paused
    case fired
  }

  private let state = Lock(State.paused)

  /// - Returns: false when the time was up already.
  @discardableResult
  func arm(for duration: Duration, waitingFor what: String) -> Bool {
    change(to: .armed(.now + duration, waitingFor: what))
  }

  /// - Returns: false when the time was up already.
  func pause() -> Bool { change(to: .paused) }

  private func change(to new: State) -> Bool {
    state.withLock { state in
      if case .fired = state { return false }
      state = new
      return true
    }
  }

  /// Waits for the time to be up.
  ///
  /// - Throws: `deadlineExceeded` that says what did not come.
  func watch() async throws {
    while true {
      let (next, missing): (ContinuousClock.Instant, String?) = state.withLock { state in
        switch state {
        case .paused: return (.now + .milliseconds(500), nil)
        case .fired: return (.now, "anything")
        case .armed(let deadline, let what):
          if deadline > .now { return (deadline, nil) }
          state = .fired
          return (deadline, what)
        }
      }
      if let missing { throw ServingError(.deadlineExceeded, "timed out waiting for \(missing)") }
      try await Task.sleep(until: next)
    }
  }
}
