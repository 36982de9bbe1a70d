import ServingTypes

extension RedisAddress {
  private enum Form {
    case server
    case cluster
    case sentinel

    var port: Int { self == .sentinel ? 26_379 : 6379 }
  }

  /// How many servers an address may name.
  private static let maximumServers = 64

  /// - Throws: `invalidArgument` that says which part is wrong and never repeats the password.
  public init(_ url: String) throws(ServingError) {
    guard let mark = url.firstRange(of: "://") else { throw Self.invalid("has no ://") }
    var rest = url[mark.upperBound...]
    let scheme = url[..<mark.lowerBound]
    var user: String?
    var password: String?
    // One in the options, a file's name for example, is none of the login's.
    if let at = rest[..<(rest.firstIndex(of: "?") ?? rest.endIndex)].lastIndex(of: "@") {
      let parts = rest[..<at].split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
      rest = rest[rest.index(after: at)...]
      guard parts.count == 2 else { throw Self.invalid("has a login without ':'") }
      guard let first = Self.unescaped(parts[0]), let second = Self.unescaped(parts[1]) else {
        throw Self.invalid("has a wrong percent escape in its login")
      }
      user = first.isEmpty ? nil : first
      password = second.isEmpty ? nil : second
    }
    var options: [Substring: String] = [:]
    if let question = rest.firstIndex(of: "?") {
      options = try Self.options(rest[rest.index(after: question)...])
      rest = rest[..<question]
    }
    func take(_ names: [Substring]) throws(ServingError) {
      guard options.keys.allSatisfy(names.contains) else {
        throw Self.invalid("has an unknown option; \(names.joined(separator: ", ")) would be known")
      }
    }

    if scheme == "unix" {
      try take(["db"])
      guard rest.hasPrefix("/") else { throw Self.invalid("has no absolute path to a socket") }
      let database = try options["db"].map { text throws(ServingError) in try Self.database(text[...]) }
      self.init(endpoint: .unix(path: String(rest)), user: user, password: password, database: database ?? 0)
      return
    }
    let form: Form
    switch scheme {
    case "redis", "rediss": form = .server
    case "redis-cluster", "rediss-cluster": form = .cluster
    case "redis-sentinel", "rediss-sentinel": form = .sentinel
    default: throw Self.invalid("begins with neither redis://, redis-cluster://, redis-sentinel:// nor unix://")
    }
    let isEncrypted = scheme.hasPrefix("rediss")
    try take(
      (isEncrypted ? ["tls_ca", "tls_certificate", "tls_key"] : [])
        + (form == .sentinel ? ["sentinel_user", "sentinel_password"] : []))
    let parts = rest.split(separator: "/", omittingEmptySubsequences: false)
    let endpoints = try Self.endpoints(parts[0], port: form.port)
    var path = parts.dropFirst().filter { !$0.isEmpty }
    let servers: Servers
    switch form {
    case .server:
      guard endpoints.count == 1 else {
        throw Self.invalid("names several hosts; write redis-cluster:// for a cluster")
      }
      servers = .single(endpoints[0])
    case .cluster:
      guard path.isEmpty else { throw Self.invalid("names a database, and a cluster has only one") }
      servers = .cluster(endpoints)
    case .sentinel:
      guard let name = path.first, let master = Self.unescaped(name) else {
        throw Self.invalid("names no master after the sentinels' hosts")
      }
      path.removeFirst()
      servers = .sentinel(endpoints, master: master)
    }
    guard path.count <= 1 else { throw Self.invalid("has more than one database") }
    let database = try path.first.map { text throws(ServingError) in try Self.database(text) }
    self.init(servers: servers, user: user, password: password, database: database ?? 0)
    sentinelUser = options["sentinel_user"]
    sentinelPassword = options["sentinel_password"]
    guard isEncrypted else { return }
    let tls = RedisTLS(
      authorityFile: options["tls_ca"], certificateFile: options["tls_certificate"], keyFile: options["tls_key"])
    if (tls.certificateFile == nil) != (tls.keyFile == nil) {
      throw Self.invalid("has one of tls_certificate and tls_key: give both or neither")
    }
    self.tls = tls
  }

  private static func invalid(_ reason: String) -> ServingError {
    ServingError(
      .invalidArgument,
      "the Redis address \(reason); write redis://[:password@]host[:port][/database], redis-cluster://host:port,host:port, "
        + "redis-sentinel://host:port,host:port/master or unix:///path[?db=number]")
  }

  private static func endpoints(_ list: Substring, port: Int) throws(ServingError) -> [Endpoint] {
    var endpoints: [Endpoint] = []
    for authority in list.split(separator: ",", omittingEmptySubsequences: false) {
      endpoints.append(try endpoint(authority, port: port))
    }
    guard endpoints.count <= maximumServers else { throw invalid("names more than \(maximumServers) hosts") }
    return endpoints
  }

  private static func endpoint(_ authority: Substring, port standard: Int) throws(ServingError) -> Endpoint {
    let host: Substring
    let port: Substring
    if authority.hasPrefix("[") {
      guard let close = authority.firstIndex(of: "]") else { throw invalid("has '[' without ']'") }
      host = authority[authority.index(after: authority.startIndex)..<close]
      let tail = authority[authority.index(after: close)...]
      guard tail.isEmpty || tail.hasPrefix(":") else { throw invalid("has text after ']'") }
      port = tail.dropFirst()
    } else {
      let pieces = authority.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
      host = pieces.first ?? ""
      port = pieces.count == 2 ? pieces[1] : ""
    }
    guard !host.isEmpty else { throw invalid("names no host") }
    return .tcp(host: String(host), port: port.isEmpty ? standard : try number(port, "port", 1...65_535))
  }

  private static func options(_ text: Substring) throws(ServingError) -> [Substring: String] {
    var options: [Substring: String] = [:]
    for option in text.split(separator: "&") {
      let parts = option.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
      guard parts.count == 2, let value = unescaped(parts[1]) else { throw invalid("has an option without '='") }
      options[parts[0]] = value
    }
    return options
  }

  private static func database(_ text: Substring) throws(ServingError) -> Int {
    try number(text, "database", 0...65_535)
  }

  private static func number(_ text: Substring, _ name: String, _ range: ClosedRange<Int>) throws(ServingError) -> Int {
    guard let value = Int(text), range.contains(value) else {
      throw invalid("has \(name) '\(text)', which is not between \(range.lowerBound) and \(range.upperBound)")
    }
    return value
  }

  private static func unescaped(_ text: Substring) -> String? {
    var bytes: [UInt8] = []
    var rest = text.utf8[...]
    while let byte = rest.popFirst() {
      guard byte == UInt8(ascii: "%") else {
        bytes.append(byte)
        continue
      }
      guard rest.count >= 2, let digits = String(rest.prefix(2)), let value = UInt8(digits, radix: 16) else {
        return nil
      }
      bytes.append(value)
      rest = rest.dropFirst(2)
    }
    return String(validating: bytes, as: UTF8.self)
  }
}
