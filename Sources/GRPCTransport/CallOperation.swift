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

/// What follows the offer of an operation's result.
enum OfferSettlement {
  /// It was taken: the operation runs again, for the same waiter.
  case again
  case resume(UnsafeContinuation<CallOutcome, Never>?, CallOutcome)
}

/// The progress of one kind of operation. Pure: methods return whom to resume outside the lock.
struct CallOperationState {
  private enum Phase {
    case idle
    case running
    /// It succeeded, and its result is offered to somebody else than the waiter, who waits on.
    case offered(isCancelled: Bool)
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

  /// As `start`, also where the previous operation succeeded and nobody has waited for it.
  mutating func startNext() -> Bool {
    switch phase {
    case .idle, .completed(true):
      phase = .running
      return true
    case .running, .offered, .completed(false):
      return false
    }
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
    case .idle, .offered:
      return .misused
    }
  }

  /// It has succeeded, and its result is offered to somebody else: until `settle`, nothing resumes the waiter.
  ///
  /// - Returns: false where nobody waits.
  mutating func offer() -> Bool {
    guard isRunning, waiter != nil else { return false }
    phase = .offered(isCancelled: false)
    return true
  }

  /// What to do outside the lock when the offer was taken or refused.
  mutating func settle(isTaken: Bool) -> OfferSettlement {
    guard case .offered(let isCancelled) = phase else { preconditionFailure("nothing was offered") }
    if isTaken, !isCancelled {
      phase = .running
      return .again
    }
    defer { waiter = nil }
    phase = .idle
    return .resume(waiter, isTaken ? .cancelled : .completed(succeeded: true))
  }

  mutating func complete(_ succeeded: Bool, persists: Bool) -> UnsafeContinuation<CallOutcome, Never>? {
    defer { waiter = nil }
    phase = waiter != nil && !persists ? .idle : .completed(succeeded)
    return waiter
  }

  mutating func cancelWait() -> UnsafeContinuation<CallOutcome, Never>? {
    if case .offered = phase {
      phase = .offered(isCancelled: true)
      return nil
    }
    defer { waiter = nil }
    return waiter
  }
}
