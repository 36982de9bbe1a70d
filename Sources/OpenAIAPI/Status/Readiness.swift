/// Whether a process should be sent work.
public enum Readiness: Hashable, Sendable {
  case ready
  /// With the reason, for the operator.
  case notReady(String)
}
