/// Where servers take the time from, and how they wait: the machine's clock, or in simulations one that is moved by hand.
public struct ServingClock: Sendable {
  private struct Source: Sendable {
    let now: @Sendable () -> ContinuousClock.Instant
    let sleep: @Sendable (ContinuousClock.Instant) async throws -> Void
  }

  private let source: Source?
  /// What calls' timeouts are longer by than their deadlines say: GRPCCore waits for them in real time, so in a simulation they
  /// must never run out by themselves, and the transport, which keeps the deadlines, takes it off again.
  public let callAllowance: Duration

  /// The machine's clock.
  public static let continuous = ServingClock()

  private init() {
    source = nil
    callAllowance = .zero
  }

  /// - Parameters:
  ///   - sleep: returns at the given time, or throws `CancellationError` once its task is cancelled.
  public init(
    now: @escaping @Sendable () -> ContinuousClock.Instant,
    sleep: @escaping @Sendable (ContinuousClock.Instant) async throws -> Void, callAllowance: Duration = .zero
  ) {
    source = Source(now: now, sleep: sleep)
    self.callAllowance = callAllowance
  }

  public var now: ContinuousClock.Instant { source?.now() ?? .now }

  /// - Throws: `CancellationError` when the task is cancelled.
  public func sleep(until time: ContinuousClock.Instant) async throws {
    if let source { try await source.sleep(time) } else { try await Task.sleep(until: time) }
  }

  /// - Throws: `CancellationError` when the task is cancelled.
  public func sleep(for duration: Duration) async throws { try await sleep(until: now + duration) }
}
