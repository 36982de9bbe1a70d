import ServingTypes

/// Tells any number of waiting tasks, once, that the worker is to end.
final class DrainSignal: Sendable {
  private struct State {
    var isGiven = false
    var waiters: [AsyncStream<Never>.Continuation] = []
  }

  private let state = Lock(State())

  var isGiven: Bool { state.withLock { $0.isGiven } }

  func give() {
    let waiters = state.withLock { state in
      defer { state.waiters = [] }
      state.isGiven = true
      return state.waiters
    }
    for waiter in waiters { waiter.finish() }
  }

  /// Returns when the signal is given or the task is cancelled.
  func wait() async {
    let (stream, continuation) = AsyncStream<Never>.makeStream()
    let isGiven = state.withLock { state in
      if !state.isGiven { state.waiters.append(continuation) }
      return state.isGiven
    }
    if isGiven { return }
    for await _ in stream {}
  }
}
