/// One fault of a schedule.
public struct ChaosEvent: Codable, Hashable, Sendable {
  /// Seconds since the schedule's start.
  public var at: Double
  /// When it is taken back; for a kill, when the process is started again.
  public var until: Double
  public var fault: ChaosFault
  /// The process, by name.
  public var target: String
  /// Seconds that data takes longer, where the fault is `slow`.
  public var delay: Double
}
