import ServingTypes

/// Who may write to the blocks that a fetch fills: the fetch, one block at a time, until the scheduler calls it off.
///
/// So nobody waits for a holder that stalls: at most for the copy of a block within memory.
public final class FillClaim: Sendable {
  private struct State {
    var isWriting = false
    var isRevoked = false
  }

  private let state = Lock(State())
  private let stream: AsyncStream<Never>
  private let end: AsyncStream<Never>.Continuation

  public init() {
    (stream, end) = AsyncStream.makeStream()
  }

  /// Whoever fills a block, before it touches the memory. False: it must not.
  public func begin() -> Bool {
    state.withLock { state in
      if !state.isRevoked { state.isWriting = true }
      return !state.isRevoked
    }
  }

  /// The block is written.
  ///
  /// - Returns: whether the fetch was called off meanwhile, and the end of the writing is waited for.
  public func finish() -> Bool {
    state.withLock { state in
      state.isWriting = false
      return state.isRevoked
    }
  }

  /// The scheduler's thread.
  ///
  /// - Returns: whether nobody touches the blocks any more; otherwise the end of the fetch will tell.
  func revoke() -> Bool {
    let isIdle = state.withLock { state in
      state.isRevoked = true
      return !state.isWriting
    }
    end.finish()
    return isIdle
  }

  public var isRevoked: Bool { state.withLock { $0.isRevoked } }

  /// Returns when the fetch was called off, or the task is cancelled. For one task.
  public func waitForRevocation() async { for await _ in stream {} }
}
