/// How hard a chaos run is on its cluster.
public struct ChaosConfiguration: Codable, Hashable, Sendable {
  /// What may happen to processes of one kind, with how likely each is beside the others.
  public typealias Weights = [ChaosFault: Double]

  /// Seconds.
  public var duration: Double
  public var seed: UInt64
  /// Seconds between the starts of two faults.
  public var interval: ClosedRange<Double>
  /// Seconds that a killed process stays away.
  public var absence: ClosedRange<Double>
  /// Seconds that a freeze, a stall, a half-open or a slow connection lasts.
  public var disturbance: ClosedRange<Double>
  /// Seconds by which slow connections are slower.
  public var delay: ClosedRange<Double>
  /// Seconds that a terminated process may take to end.
  public var drain: Double
  /// Seconds that a process started anew is left alone, so that it can become ready.
  public var recovery: Double
  public var workerFaults: Weights
  public var redisFaults: Weights
  public var routerFaults: Weights

  /// A fault each 3 to 9 seconds. Routers die rarely, since nobody can go on with the streams that a router held.
  public init(
    duration: Double = 600, seed: UInt64 = 1, interval: ClosedRange<Double> = 3...9,
    absence: ClosedRange<Double> = 0.1...4, disturbance: ClosedRange<Double> = 2...15,
    delay: ClosedRange<Double> = 0.02...0.3, drain: Double = 5, recovery: Double = 8,
    workerFaults: Weights = [
      .kill: 20, .terminate: 8, .freeze: 14, .cut: 10, .reset: 10, .slow: 8, .stall: 8, .halfOpen: 8,
    ],
    redisFaults: Weights = [.kill: 5, .freeze: 4, .flush: 5, .reset: 3, .slow: 3, .halfOpen: 2],
    routerFaults: Weights = [.kill: 1, .terminate: 2]
  ) {
    self.duration = duration
    self.seed = seed
    self.interval = interval
    self.absence = absence
    self.disturbance = disturbance
    self.delay = delay
    self.drain = drain
    self.recovery = recovery
    self.workerFaults = workerFaults
    self.redisFaults = redisFaults
    self.routerFaults = routerFaults
  }
}
