/// How long a caller waits for its replies. What it sent may be executed all the same.
struct RedisPatience: Sendable {
  /// Whether the task's cancellation ends the wait.
  var isCancellable = true
  /// Until when; nil leaves it to the connection's own timeout.
  var deadline: ContinuousClock.Instant?

  var isOver: Bool { deadline.map { $0 <= .now } ?? false }

  /// Sleeps, but not beyond the deadline.
  func pause(for duration: Duration) async throws(RedisFailure) {
    let end = ContinuousClock.now + duration
    do { try await Task.sleep(until: min(end, deadline ?? end), clock: .continuous) } catch { throw .cancelled }
    if isOver { throw Self.exhausted }
  }

  /// What a caller gets to hear whose time is over.
  static let exhausted = RedisFailure(.timeout, .deadlineExceeded, "Redis did not answer in the time for a lookup")
}
