import ServingTypes

/// Where one task waits until it is woken or cancelled. A wake without a waiter is kept for the next.
final class WaitingPlace: Sendable {
  private struct State {
    var waiter: CheckedContinuation<Void, Never>?
    var isWoken = false
  }

  private let state = Lock(State())

  var isTaken: Bool { state.withLock { $0.waiter != nil } }

  /// Its caller looks again at what it waits for.
  func wait() async {
    await withTaskCancellationHandler {
      await withCheckedContinuation { continuation in
        let isParked = state.withLock { state in
          if state.isWoken || Task.isCancelled {
            state.isWoken = false
            return false
          }
          precondition(state.waiter == nil, "one task waits at a time")
          state.waiter = continuation
          return true
        }
        if !isParked { continuation.resume() }
      }
    } onCancel: {
      state.withLock { $0.waiter.take() }?.resume()
    }
  }

  func wake() {
    let waiter = state.withLock { state in
      if state.waiter == nil { state.isWoken = true }
      return state.waiter.take()
    }
    waiter?.resume()
  }
}
