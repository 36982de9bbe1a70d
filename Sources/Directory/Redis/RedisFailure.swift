import ServingTypes

/// An error on the way to Redis and back, with its kind.
struct RedisFailure: Error, Sendable {
  /// Nil when the caller gave up.
  var kind: DirectoryFailure?
  var error: ServingError

  init(_ kind: DirectoryFailure?, _ code: ServingError.Code, _ message: String) {
    self.kind = kind
    error = ServingError(code, message)
  }

  /// The server is away or answers nonsense.
  init(_ kind: DirectoryFailure, _ message: String) { self.init(kind, .unavailable, message) }

  /// An error that the server replied with.
  init(reply message: String) {
    let kind = Self.kind(ofReply: message)
    // Any host will do here: a redirection may leave it out.
    if kind == .moved, RedisRedirection(.error(message), asked: .tcp(host: "redis", port: 6379)) == nil {
      self.init(.malformed, .dataLoss, "Redis redirected a command to no place: \(message.prefix(200))")
      return
    }
    let hint = kind == .moved ? "; write redis-cluster:// for a cluster" : ""
    self.init(kind, .unavailable, "Redis refused a command: \(message.prefix(200))\(hint)")
  }

  /// A cluster's nodes sent a command from one to the other.
  init(redirections: Int) {
    self.init(.moved, .unavailable, "a command was redirected more than \(redirections) times")
  }

  /// A reply that no command of ours has.
  init(unexpected reply: RedisReply) {
    self.init(.malformed, .dataLoss, "Redis gave an unexpected reply: \(String(describing: reply).prefix(200))")
  }

  static var cancelled: RedisFailure { RedisFailure(nil, .cancelled, "the call to Redis was cancelled") }

  /// By the error's first word, which is all that Redis promises about it.
  static func kind(ofReply message: String) -> DirectoryFailure {
    switch message.prefix(while: { $0 != " " }) {
    case "NOAUTH", "WRONGPASS": .authentication
    case "NOPERM": .permission
    case "READONLY": .readOnly
    case "LOADING": .loading
    case "MASTERDOWN": .masterDown
    case "MOVED", "ASK": .moved
    case "CLUSTERDOWN", "TRYAGAIN", "CROSSSLOT": .clusterDown
    case "OOM": .outOfMemory
    case "BUSY": .busy
    case "WRONGTYPE": .wrongType
    case "MISCONF", "NOREPLICAS": .writesRefused
    default:
      // Before ACLs a wrong password had no word of its own; a script's errors begin with ERR and tell the cause later.
      if message.hasPrefix("ERR invalid password") || message.hasPrefix("ERR Client sent AUTH")
        || message.hasPrefix("ERR AUTH")
      {
        .authentication
      } else if message.contains("can't run this command or subcommand") || message.contains("No permissions to") {
        .permission
      } else {
        .other
      }
    }
  }
}
