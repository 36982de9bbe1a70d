import ServingTypes

/// Opens once. One task may wait for it.
final class Latch: Sendable {
  private enum State {
    case closed
    case awaited(CheckedContinuation<Void, Never>)
    case open
  }

  private let state = Lock(State.closed)

  func open() {
    let waiter = state.withLock { state -> CheckedContinuation<Void, Never>? in
      defer { state = .open }
      if case .awaited(let waiter) = state { return waiter }
      return nil
    }
    waiter?.resume()
  }

  /// Returns when open, and not before: a cancelled task waits on, so that what it waits for is really over.
  func wait() async {
    await withCheckedContinuation { waiter in
      let isOpen = state.withLock { state -> Bool in
        if case .open = state { return true }
        state = .awaited(waiter)
        return false
      }
      if isOpen { waiter.resume() }
    }
  }
}
