import ServingTypes

/// Counts events per second over the last minute.
package final class RequestRate: Sendable {
  package static let window = 60

  private struct State {
    var counts = Array(repeating: 0, count: RequestRate.window)
    var newest: Int64 = 0
  }

  private let start: ContinuousClock.Instant
  private let state = Lock(State())

  package init(start: ContinuousClock.Instant = .now) { self.start = start }

  package func record(_ count: Int = 1, at now: ContinuousClock.Instant = .now) {
    let second = (now - start).components.seconds
    state.withLock { state in
      Self.advance(&state, to: second)
      state.counts[Int(second) % Self.window] += count
    }
  }

  /// Events per second, over the last minute or since the start when that is less.
  package func perSecond(at now: ContinuousClock.Instant = .now) -> Double {
    let second = (now - start).components.seconds
    let total = state.withLock { state -> Int in
      Self.advance(&state, to: second)
      return state.counts.reduce(0, +)
    }
    return Double(total) / Double(min(Int64(Self.window), second + 1))
  }

  private static func advance(_ state: inout State, to second: Int64) {
    guard second > state.newest else { return }
    if second - state.newest >= Int64(window) {
      state.counts = Array(repeating: 0, count: window)
    } else {
      for passed in state.newest + 1...second { state.counts[Int(passed) % window] = 0 }
    }
    state.newest = second
  }
}
