/// What a connection leads to.
enum RedisTarget: Hashable, Sendable, CustomStringConvertible {
  /// One server, which must not be a replica.
  case server(RedisAddress.Endpoint)
  /// A node of a cluster, which says itself what it serves.
  case node(RedisAddress.Endpoint)
  /// Whichever server the sentinels call the master of that name now.
  case master(sentinels: [RedisAddress.Endpoint], name: String)

  var description: String {
    switch self {
    case .server(let endpoint), .node(let endpoint): endpoint.description
    case .master(_, let name): "master '\(name)'"
    }
  }

  /// Nodes of a cluster keep replicas in touch with clients; others must be masters.
  var mustBeMaster: Bool {
    if case .node = self { false } else { true }
  }
}
