/// What a chaos run does to one process or to the connections that lead to it.
public enum ChaosFault: String, CaseIterable, Codable, CodingKeyRepresentable, Hashable, Sendable {
  /// SIGKILL, and a new start under the same name.
  case kill
  /// SIGTERM, and a new start under the same name once it is gone.
  case terminate
  /// SIGSTOP, and SIGCONT in the end.
  case freeze
  /// Every connection to it ends in order.
  case cut
  /// Every connection to it is reset.
  case reset
  /// Data takes longer, both ways.
  case slow
  /// Nothing moves on its connections, which go on in the end.
  case stall
  /// Nothing moves on its connections, which are reset in the end.
  case halfOpen = "half_open"
  /// The directory forgets everything.
  case flush

  /// Whether the process can serve nobody while it lasts.
  var takesAway: Bool {
    switch self {
    case .kill, .terminate, .freeze, .stall, .halfOpen: true
    case .cut, .reset, .slow, .flush: false
    }
  }
}
