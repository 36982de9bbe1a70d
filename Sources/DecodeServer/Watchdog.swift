import ServingTypes

/// Ends a hand-off that stands still, or whose other side is dead. Its owner puts the deadline off with each message.
final class Watchdog: Sendable {
  private enum State {
    case armed(ContinuousClock.Instant, since: ContinuousClock.Instant, waitingFor: String)
    /// Something of our own takes the time.
    case paused
    case fired
  }

  private enum Step {
    case sleep(until: ContinuousClock.Instant)
    case ask(silentSince: ContinuousClock.Instant)
    case end(missing: String)
  }

  private static let longestSleep = Duration.milliseconds(250)

  private let clock: ServingClock
  private let isAsleep: Bool
  private let state = Lock(State.paused)

  /// - Parameter isAsleep: it never fires, in tests.
  init(clock: ServingClock, isAsleep: Bool = false) {
    self.clock = clock
    self.isAsleep = isAsleep
  }

  /// - Returns: false when the time was up already.
  @discardableResult
  func arm(for duration: Duration, waitingFor what: String) -> Bool {
    let now = clock.now
    return change(to: .armed(now + duration, since: now, waitingFor: what))
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
  /// - Parameters:
  ///   - interval: of silence, after which the other side is asked, and again.
  ///   - isAlive: whether the other side, silent since then, answers.
  /// - Throws: `deadlineExceeded` that says what did not come, `unavailable` when the other side is dead.
  func watch(
    askingAfter interval: Duration, _ isAlive: @Sendable (_ silentSince: ContinuousClock.Instant) async -> Bool
  ) async throws {
    var asked: ContinuousClock.Instant?
    while true {
      switch step(interval, asked: asked) {
      case .sleep(let moment): try await clock.sleep(until: moment)
      case .end(let missing): throw ServingError(.deadlineExceeded, "timed out waiting for \(missing)")
      case .ask(let silence):
        asked = clock.now
        guard await !isAlive(silence), isSilent(since: silence) else { continue }
        try Task.checkCancellation()
        throw ServingError(.unavailable, "the worker has been silent for \(interval) and does not answer")
      }
    }
  }

  private func step(_ interval: Duration, asked: ContinuousClock.Instant?) -> Step {
    let now = clock.now
    return state.withLock { state in
      switch state {
      case .paused: return .sleep(until: now + Self.longestSleep)
      case .fired: return .end(missing: "anything")
      case .armed(let deadline, let since, let what):
        if isAsleep { return .sleep(until: now + Self.longestSleep) }
        if deadline <= now {
          state = .fired
          return .end(missing: what)
        }
        if max(since, asked ?? since) + interval <= now { return .ask(silentSince: since) }
        // The next deadline may be an earlier one, so the sleep is short.
        return .sleep(until: min(deadline, now + Self.longestSleep))
      }
    }
  }

  /// Whether nothing came meanwhile; then nothing is waited for any more.
  private func isSilent(since moment: ContinuousClock.Instant) -> Bool {
    state.withLock { state in
      guard case .armed(_, moment, _) = state else { return false }
      state = .fired
      return true
    }
  }
}
