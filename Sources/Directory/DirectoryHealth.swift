/// Reported when it changes, for the log.
public enum DirectoryHealth: Hashable, Sendable {
  case connected
  case disconnected(reason: String)
  /// Connected, but a call was answered with an error.
  case failing(reason: String)
}
