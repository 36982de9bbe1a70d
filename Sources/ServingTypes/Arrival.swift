/// A value that comes once, from any thread, and the one task that waits for it. Whatever comes later is dropped.
public final class Arrival<Value: Sendable>: Sendable {
  private enum State {
    case empty
    case awaited(UnsafeContinuation<Value, Never>)
    case arrived(Value)
    case taken
  }

  private let state = Lock(State.empty)

  public init() {}

  /// Whether it has come.
  public var hasArrived: Bool {
    state.withLock { state in
      switch state {
      case .empty, .awaited: false
      case .arrived, .taken: true
      }
    }
  }

  public func arrive(_ value: Value) {
    let waiter = state.withLock { state -> UnsafeContinuation<Value, Never>? in
      switch state {
      case .empty:
        state = .arrived(value)
        return nil
      case .awaited(let waiter):
        state = .taken
        return waiter
      case .arrived, .taken: return nil
      }
    }
    waiter?.resume(returning: value)
  }

  /// Waits for it, cancelled or not: whoever cancels makes something arrive. Called once.
  public func value() async -> Value {
    await withUnsafeContinuation { continuation in
      let value = state.withLock { state -> Value? in
        switch state {
        case .empty:
          state = .awaited(continuation)
          return nil
        case .arrived(let value):
          state = .taken
          return value
        case .awaited, .taken: preconditionFailure("a value is waited for once")
        }
      }
      if let value { continuation.resume(returning: value) }
    }
  }
}
