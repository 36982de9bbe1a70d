import ServingTypes

/// Since when a worker has said nothing on a stream. What the stream's reader takes does not count: while it is busy, the
/// worker cannot be heard.
final class StreamSilence: Sendable {
  private enum State: Equatable {
    case listening(since: ContinuousClock.Instant)
    case busy
    case givenUp
  }

  private let state: Lock<State>
  private let clock: ServingClock

  init(clock: ServingClock) {
    self.clock = clock
    state = Lock(.listening(since: clock.now))
  }

  /// Nil while the reader is busy.
  var since: ContinuousClock.Instant? {
    state.withLock { state in if case .listening(let since) = state { since } else { nil } }
  }

  /// The worker was heard, and its words are being passed on.
  ///
  /// - Throws: `CancellationError` once the stream was given up: what comes then must not count as delivered.
  func pause() throws {
    try state.withLock { state in
      if state == .givenUp { throw CancellationError() }
      state = .busy
    }
  }

  /// The worker was heard, and its words need no reader.
  ///
  /// - Returns: false once the stream was given up: they must not count as delivered.
  func hear() -> Bool {
    let now = clock.now
    return state.withLock { state in
      if state == .givenUp { return false }
      state = .listening(since: now)
      return true
    }
  }

  /// The reader listens again.
  func begin() {
    let now = clock.now
    state.withLock { state in
      if state == .busy { state = .listening(since: now) }
    }
  }

  /// Gives the stream up.
  ///
  /// - Returns: false when the worker was heard since that moment.
  func giveUp(silentSince moment: ContinuousClock.Instant) -> Bool {
    state.withLock { state in
      guard state == .listening(since: moment) else { return false }
      state = .givenUp
      return true
    }
  }
}
