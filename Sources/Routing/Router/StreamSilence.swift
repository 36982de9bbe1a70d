import ServingTypes

/// Since when a worker has said nothing on a stream. What the stream's reader takes does not count: while it is busy, the
/// worker cannot be heard.
final class StreamSilence: Sendable {
  /// Nil while the reader is busy.
  private let state: Lock<ContinuousClock.Instant?>
  private let clock: ServingClock

  init(clock: ServingClock) {
    self.clock = clock
    state = Lock(clock.now)
  }

  var since: ContinuousClock.Instant? { state.withLock { $0 } }

  /// The worker was heard, and its words are being passed on.
  func pause() { state.withLock { $0 = nil } }

  /// The reader listens again.
  func begin() {
    let now = clock.now
    state.withLock { $0 = now }
  }
}
