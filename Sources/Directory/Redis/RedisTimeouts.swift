import ServingTypes

/// Ends waits for Redis whose time is over, with a thread of its own that looks at all of them now and then.
///
/// A timer for each wait would cost more than what is waited for. While waits come, the thread ticks by itself, so that
/// none of them has to wake it; after a second without any it sleeps until the next.
final class RedisTimeouts: Sendable {
  private struct Wait {
    let waiter: RedisWaiter
    let deadline: ContinuousClock.Instant
  }

  private struct State {
    var waits: [Wait] = []
    var isAsleep = false
    var isClosed = false
  }

  private let core: Core

  /// - Parameter resolution: how much later than its deadline a wait may end.
  init(resolution: Duration) throws(ServingError) {
    let core = Core(resolution: max(resolution, .milliseconds(1)))
    guard DetachedThread.start({ core.run() }) else {
      throw ServingError(.resourceExhausted, "no thread can be started that watches over the waits for Redis")
    }
    self.core = core
  }

  deinit { core.close() }

  /// Ends the waiter's wait at the deadline, unless its replies come before.
  func end(_ waiter: RedisWaiter, at deadline: ContinuousClock.Instant) {
    core.add(Wait(waiter: waiter, deadline: deadline))
  }

  /// What the thread keeps alive.
  private final class Core: Sendable {
    let resolution: Duration
    private let state = Lock(State())
    /// Notified only when the thread sleeps: a notice at each wait would cost what the ticking saves.
    private let wake = SignalledLock(false)

    init(resolution: Duration) { self.resolution = resolution }

    func add(_ wait: Wait) {
      let mustWake = state.withLock { state in
        state.waits.append(wait)
        defer { state.isAsleep = false }
        return state.isAsleep
      }
      if mustWake { wake.withLock { $0 = true } }
    }

    func close() {
      state.withLock { $0.isClosed = true }
      wake.withLock { $0 = true }
    }

    func run() {
      var quietTicks = 0
      while true {
        let isQuiet = quietTicks > max(1, Int(.seconds(1) / resolution))
        let maySleep = state.withLock { state in
          state.isAsleep = isQuiet && state.waits.isEmpty && !state.isClosed
          return state.isAsleep
        }
        // Nobody notifies it while it ticks: then this is a pause.
        let woken = wake.wait(timeout: maySleep ? nil : resolution) { isWoken -> Bool? in
          defer { isWoken = false }
          return isWoken ? true : nil
        }
        if woken == true { quietTicks = 0 }
        let now = ContinuousClock.now
        let (over, isBusy, isClosed) = state.withLock { state -> ([RedisWaiter], Bool, Bool) in
          let isBusy = !state.waits.isEmpty
          let over = state.waits.filter { $0.deadline <= now }.map(\.waiter)
          state.waits.removeAll { $0.deadline <= now || $0.waiter.hasArrived }
          return (over, isBusy, state.isClosed)
        }
        for waiter in over { waiter.arrive(.failure(RedisPatience.exhausted)) }
        if isClosed { return }
        quietTicks = isBusy ? 0 : quietTicks + 1
      }
    }
  }
}
