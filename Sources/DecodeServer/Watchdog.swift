import ServingTypes

/// Ends a hand-off that stands still. Its owner puts the deadline off with each message.
final class Watchdog: Sendable {
  private enum State {
    case armed(ContinuousClock.Instant, waitingFor: String)
    /// Something of our own takes the time.
    case paused
    case fired
  }

  private static let longestSleep = Duration.milliseconds(250)

  private let clock: ServingClock
  private let state = Lock(State.paused)

  init(clock: ServingClock) { self.clock = clock }

  /// - Returns: false when the time was up already.
  @discardableResult
  func arm(for duration: Duration, waitingFor what: String) -> Bool {
    change(to: .armed(clock.now + duration, waitingFor: what))
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
      let now = clock.now
      let (next, missing): (ContinuousClock.Instant, String?) = state.withLock { state in
        switch state {
        case .paused: return (now + Self.longestSleep, nil)
        case .fired: return (now, "anything")
        case .armed(let deadline, let what):
          // The next deadline may be an earlier one, so the sleep is short.
          if deadline > now { return (min(deadline, now + Self.longestSleep), nil) }
          state = .fired
          return (deadline, what)
        }
      }
      if let missing { throw ServingError(.deadlineExceeded, "timed out waiting for \(missing)") }
      try await clock.sleep(until: next)
    }
  }
}
