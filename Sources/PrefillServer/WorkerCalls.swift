import ServingTypes

/// The calls under way at a worker that hold blocks of it, so that it can leave without cutting them.
public final class WorkerCalls: Sendable {
  private struct Call {
    var isWelcome: Bool
    var onLeave: @Sendable () -> Void
  }

  private struct State {
    var calls: [UInt64: Call] = [:]
    var next: UInt64 = 0
    var isClosed = false
    var isLeaving = false
  }

  private let state = Lock(State())

  public init() {}

  /// Calls under way.
  public var count: Int { state.withLock { $0.calls.count } }

  /// Whether what still ran was told to end.
  public var isLeaving: Bool { state.withLock { $0.isLeaving } }

  /// Why a call that began, or went on, is given up.
  public static var leaving: ServingError {
    ServingError(.aborted, "the worker is leaving: open the request elsewhere", retryAfter: .milliseconds(100))
  }

  /// A call begins.
  ///
  /// - Parameters:
  ///   - isWelcome: whether it may begin although the worker drains.
  ///   - onLeave: called at most once, when the worker can wait no longer: ends the call.
  /// - Returns: what `end` takes.
  /// - Throws: `aborted` once the worker drains.
  public func begin(
    isWelcome: Bool = false, onLeave: @escaping @Sendable () -> Void
  ) throws(ServingError) -> UInt64 {
    let ticket = state.withLock { state -> UInt64? in
      if state.isClosed && !isWelcome { return nil }
      state.next += 1
      state.calls[state.next] = Call(isWelcome: isWelcome, onLeave: onLeave)
      return state.next
    }
    guard let ticket else { throw Self.leaving }
    return ticket
  }

  public func end(_ ticket: UInt64) { state.withLock { $0.calls[ticket] = nil } }

  /// From now on only welcome calls begin.
  public func close() { state.withLock { $0.isClosed = true } }

  /// Tells every call that is left to end.
  /// - Returns: how many of them a worker that drains refuses, and so gives up now.
  @discardableResult
  public func leave() -> Int {
    let calls = state.withLock { state in
      state.isClosed = true
      state.isLeaving = true
      return Array(state.calls.values)
    }
    for call in calls { call.onLeave() }
    return calls.count { !$0.isWelcome }
  }

  /// Returns when no call is under way, at `deadline`, or when the task is cancelled.
  public func waitUntilIdle(until deadline: ContinuousClock.Instant, on clock: ServingClock = .continuous) async {
    while count > 0, clock.now < deadline {
      do { try await clock.sleep(for: .milliseconds(10)) } catch { return }
    }
  }
}
