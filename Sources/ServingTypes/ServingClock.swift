/// Where servers take the time from, and how they wait: the machine's clock, or in simulations one that is moved by hand.
public struct ServingClock: Sendable {
  private struct Source: Sendable {
    let now: @Sendable () -> ContinuousClock.Instant
    let sleep: @Sendable (ContinuousClock.Instant) async throws -> Void
  }

  private let source: Source?

  /// The machine's clock.
  public static let continuous = ServingClock()

  private init() {
    source = nil
  }

  /// - Parameters:
  ///   - sleep: returns at the given time, or throws `CancellationError` once its task is cancelled.
  public init(
    now: @escaping @Sendable () -> ContinuousClock.Instant,
    sleep: @escaping @Sendable (ContinuousClock.Instant) async throws -> Void
  ) {
    source = Source(now: now, sleep: sleep)
  }

  public var now: ContinuousClock.Instant { source?.now() ?? .now }

  /// - Throws: `CancellationError` when the task is cancelled.
  public func sleep(until time: ContinuousClock.Instant) async throws {
    if let source { try await source.sleep(time) } else { try await Task.sleep(until: time) }
  }

  /// - Throws: `CancellationError` when the task is cancelled.
  public func sleep(for duration: Duration) async throws { try await sleep(until: now + duration) }
}
