import ServingTypes

/// The port that a server listens on, known once it does.
public final class BoundPort: Sendable {
  private struct State {
    var result: Result<Int, ServingError>?
    var waiters: [CheckedContinuation<Result<Int, ServingError>, Never>] = []
  }

  private let state = Lock(State())

  init() {}

  /// Waits until the server listens.
  /// - Throws: `unavailable` when it ended before it could.
  public func wait() async throws(ServingError) -> Int {
    let result = await withCheckedContinuation { continuation in
      let known = state.withLock { state -> Result<Int, ServingError>? in
        if state.result == nil { state.waiters.append(continuation) }
        return state.result
      }
      if let known { continuation.resume(returning: known) }
    }
    return try result.get()
  }

  /// The first call counts.
  func resolve(_ result: Result<Int, ServingError>) {
    let waiters = state.withLock { state -> [CheckedContinuation<Result<Int, ServingError>, Never>] in
      guard state.result == nil else { return [] }
      state.result = result
      defer { state.waiters = [] }
      return state.waiters
    }
    for waiter in waiters { waiter.resume(returning: result) }
  }
}
