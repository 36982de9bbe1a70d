import ServingTypes

/// Admits a limited number of requests at a time and refuses the rest at once.
final class RequestGate: Sendable {
  let limit: Int
  private let count = Lock(0)

  init(limit: Int) { self.limit = limit }

  var inFlight: Int { count.withLock { $0 } }

  /// Whether there was room; `leave()` gives it back.
  func enter() -> Bool {
    count.withLock { count -> Bool in
      if count >= limit { return false }
      count += 1
      return true
    }
  }

  func leave() { count.withLock { $0 -= 1 } }
}
