/// Reported when it changes, for the log.
public enum DirectoryHealth: Hashable, Sendable {
  case connected
  case disconnected(reason: String)
  /// Connected, but a call failed; told once for each kind until all is well again.
  case failing(DirectoryFailure, reason: String)
}
