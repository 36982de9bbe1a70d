import ServingTypes

/// How fast a queue gets shorter, and so when it is worth trying again after it was full. Pure.
package struct QueueTurnover: Sendable {
  private static let weight = 0.1
  /// Where nothing was seen yet.
  private static let guess = 1.0
  private static let shortest = 0.1
  private static let longest = 30.0

  /// Between two requests that left while others waited, lately.
  private var seconds: Double?
  private var last: ContinuousClock.Instant?

  package init() {}

  /// A request leaves the queue.
  /// - Parameter queued: how many there were, itself included.
  package mutating func leave(at now: ContinuousClock.Instant, queued: Int) {
    defer { last = queued > 1 ? now : nil }
    // Only between requests that waited: others say nothing of the queue's pace.
    guard let last else { return }
    let new = (now - last).seconds
    seconds = seconds.map { $0 + Self.weight * (new - $0) } ?? new
  }

  /// When an eighth of the queue will be gone: soon enough to find the worker busy, late enough to find room.
  package func hint(queued: Int) -> Duration {
    guard let seconds else { return .seconds(Self.guess) }
    return .seconds(min(Self.longest, max(Self.shortest, seconds * Double(queued) / 8)))
  }
}
