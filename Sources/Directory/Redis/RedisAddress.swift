import ServingTypes

/// Where Redis answers, and as whom to log in.
///
/// One server: `redis://[[user]:password@]host[:port][/database]` or `unix://[[user]:password@]/path/to/socket[?db=1]`. A
/// cluster: `redis-cluster://[[user]:password@]host[:port][,host[:port]]…`, some of its nodes. Sentinels:
/// `redis-sentinel://[[user]:password@]host[:port][,host[:port]]…/master[/database]`, with `sentinel_user` and
/// `sentinel_password` as options. `rediss` in place of `redis` turns TLS on, with the options `tls_ca`, `tls_certificate` and
/// `tls_key`. Percent escapes in user, password and options.
public struct RedisAddress: Hashable, Sendable, CustomStringConvertible {
  /// One server's place.
  public enum Endpoint: Hashable, Sendable, CustomStringConvertible {
    case tcp(host: String, port: Int)
    case unix(path: String)

    public var description: String {
      switch self {
      case .tcp(let host, let port): host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)"
      case .unix(let path): path
      }
    }
  }

  /// How the server is found that a command belongs to.
  public enum Servers: Hashable, Sendable {
    case single(Endpoint)
    /// Some nodes of a Redis Cluster; the others are learnt from them.
    case cluster([Endpoint])
    /// Sentinels that know where the master of this name is.
    case sentinel([Endpoint], master: String)
  }

  public var servers: Servers
  public var user: String?
  public var password: String?
  public var database: Int
  /// For sentinels; where they ask for a login and none is given here, the server's is used.
  public var sentinelUser: String?
  public var sentinelPassword: String?
  /// Nil: not encrypted.
  public var tls: RedisTLS?

  public init(servers: Servers, user: String? = nil, password: String? = nil, database: Int = 0, tls: RedisTLS? = nil) {
    self.servers = servers
    self.user = user
    self.password = password
    self.database = database
    self.tls = tls
  }

  /// One server.
  public init(endpoint: Endpoint, user: String? = nil, password: String? = nil, database: Int = 0) {
    self.init(servers: .single(endpoint), user: user, password: password, database: database)
  }

  /// The address without its password.
  public var description: String {
    let login = password == nil ? "" : "\(user ?? ""):***@"
    let scheme = tls == nil ? "redis" : "rediss"
    switch servers {
    case .single(.unix(let path)): return "unix://\(login)\(path)?db=\(database)"
    case .single(let endpoint): return "\(scheme)://\(login)\(endpoint)/\(database)"
    case .cluster(let nodes): return "\(scheme)-cluster://\(login)\(Self.list(nodes))"
    case .sentinel(let sentinels, let master):
      return "\(scheme)-sentinel://\(login)\(Self.list(sentinels))/\(master)/\(database)"
    }
  }

  private static func list(_ endpoints: [Endpoint]) -> String {
    endpoints.map(\.description).joined(separator: ",")
  }
}
