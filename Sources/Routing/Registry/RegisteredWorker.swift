import Directory
import ServingTypes

/// A worker that the router knows of.
public struct RegisteredWorker: Sendable {
  public var record: WorkerRecord
  /// Whether its lease was there at the last look.
  public var isLeased: Bool
  /// When its last report was first seen; nil for one that reports no load.
  public var reported: ContinuousClock.Instant?
  /// Passed over until then, while others are not.
  public var suspectUntil: ContinuousClock.Instant?
  var vanished: ContinuousClock.Instant?

  public func isDoubtful(at now: ContinuousClock.Instant) -> Bool {
    !isLeased || suspectUntil.map { now < $0 } ?? false
  }
}
