/// The operations of a call that can be under way, at most one of each kind.
enum CallOperation: UInt {
  /// Nobody waits for it, and its failure shows in the call's end.
  case detached
  case sending
  case receiving
  /// The response's initial metadata, on the client.
  case opening
  /// The status on the client, the close on the server: started up front, completed once, last.
  case closing
}

/// How waiting for an operation ended.
enum CallOutcome: Sendable {
  case completed(succeeded: Bool)
  /// The waiting task was cancelled; the operation goes on, and may be waited for again.
  case cancelled
  /// Another task waits already, or nothing is under way.
  case misused
}

/// The progress of one kind of operation. Pure: methods return whom to resume outside the lock.
struct CallOperationState {
  private enum Phase {
    case idle
    case running
    case completed(Bool)
  }

  private var phase = Phase.idle
  private var waiter: UnsafeContinuation<CallOutcome, Never>?

  var isIdle: Bool {
    if case .idle = phase { return true }
    return false
  }

  var isRunning: Bool {
    if case .running = phase { return true }
    return false
  }

  var isCompleted: Bool {
    if case .completed = phase { return true }
    return false
  }

  /// False where the previous operation of this kind has not been waited for.
  mutating func start() -> Bool {
    guard isIdle else { return false }
    phase = .running
    return true
  }

  /// Keeps the waiter until completion, or returns the outcome at hand.
  ///
  /// - Parameter persists: whether the outcome stays for later waiters.
  mutating func wait(
    _ continuation: UnsafeContinuation<CallOutcome, Never>, isCancelled: Bool, persists: Bool
  ) -> CallOutcome? {
    switch phase {
    case .completed(let succeeded):
      if !persists { phase = .idle }
      return .completed(succeeded: succeeded)
    case .running:
      if isCancelled { return .cancelled }
      guard waiter == nil else { return .misused }
      waiter = continuation
      return nil
    case .idle:
      return .misused
    }
  }

  mutating func complete(_ succeeded: Bool, persists: Bool) -> UnsafeContinuation<CallOutcome, Never>? {
    defer { waiter = nil }
    phase = waiter != nil && !persists ? .idle : .completed(succeeded)
    return waiter
  }

  mutating func cancelWait() -> UnsafeContinuation<CallOutcome, Never>? {
    defer { waiter = nil }
    return waiter
  }
}
