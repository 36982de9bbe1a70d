import ServingTypes

/// The outcome of one call, which arrives once; later ones are dropped.
final class RedisWaiter: Sendable {
  typealias Outcome = Result<[RedisReply], RedisFailure>

  private enum State {
    case empty
    case waiting(CheckedContinuation<Outcome, Never>)
    case arrived(Outcome)
    case done
  }

  private let state = Lock(State.empty)

  func resume(_ outcome: Outcome) {
    let continuation = state.withLock { state -> CheckedContinuation<Outcome, Never>? in
      switch state {
      case .waiting(let continuation):
        state = .done
        return continuation
      case .empty:
        state = .arrived(outcome)
        return nil
      case .arrived, .done: return nil
      }
    }
    continuation?.resume(returning: outcome)
  }

  /// Called once.
  func outcome() async -> Outcome {
    await withCheckedContinuation { continuation in
      let outcome = state.withLock { state -> Outcome? in
        if case .arrived(let outcome) = state {
          state = .done
          return outcome
        }
        state = .waiting(continuation)
        return nil
      }
      if let outcome { continuation.resume(returning: outcome) }
    }
  }
}
