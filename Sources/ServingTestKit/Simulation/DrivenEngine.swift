import Engine
import ServingTypes

/// An engine whose turns a simulation takes.
final class DrivenEngine: @unchecked Sendable {  // safe: only the simulation's thread touches it
  /// How often an engine looks whether what waits can go on.
  private static let poll = Duration.milliseconds(100)

  let engine: EngineCore
  let node: Int
  let stepTime: ClosedRange<Duration>
  private var busyUntil: ContinuousClock.Instant
  private var turnAt: ContinuousClock.Instant?

  init(engine: EngineCore, node: Int, stepTime: ClosedRange<Duration>, now: ContinuousClock.Instant) {
    self.engine = engine
    self.node = node
    self.stepTime = stepTime
    busyUntil = now
  }

  /// When it has something to do; nil where nobody knows yet.
  var nextTurn: ContinuousClock.Instant? { engine.hasMail ? busyUntil : turnAt.map { max($0, busyUntil) } }

  func isDue(at now: ContinuousClock.Instant) -> Bool { nextTurn.map { $0 <= now } ?? false }

  func took(_ turn: EngineTurn, for time: Duration, now: ContinuousClock.Instant) {
    busyUntil = now + time
    switch turn {
    case .worked: turnAt = busyUntil
    case .waiting: turnAt = now + Self.poll
    case .idle, .stopping: turnAt = nil
    }
  }
}
