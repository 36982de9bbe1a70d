/// Given once; any number of tasks wait for it.
public final class Signal: Sendable {
  private struct State {
    var isGiven = false
    var waiters: [UInt64: AsyncStream<Never>.Continuation] = [:]
    var next: UInt64 = 0
  }

  private let state = Lock(State())

  public init() {}

  public var isGiven: Bool { state.withLock { $0.isGiven } }

  public func give() {
    let waiters = state.withLock { state in
      defer { state.waiters = [:] }
      state.isGiven = true
      return state.waiters
    }
    // In their order: a simulation must be the same each time.
    for (_, waiter) in waiters.sorted(by: { $0.key < $1.key }) { waiter.finish() }
  }

  /// Returns when it is given or the task is cancelled.
  public func wait() async {
    let (stream, continuation) = AsyncStream<Never>.makeStream(bufferingPolicy: .bufferingNewest(1))
    let ticket = state.withLock { state -> UInt64? in
      if state.isGiven { return nil }
      state.next += 1
      state.waiters[state.next] = continuation
      return state.next
    }
    guard let ticket else { return }
    for await _ in stream {}
    state.withLock { $0.waiters[ticket] = nil }
  }
}
