import ServingTypes

/// Where a Redis server answers, and as whom to log in.
///
/// Written `redis://[[user]:password@]host[:port][/database]` or `unix://[[user]:password@]/path/to/socket[?db=1]`,
/// with percent escapes in user and password.
public struct RedisAddress: Hashable, Sendable, CustomStringConvertible {
  public enum Endpoint: Hashable, Sendable {
    case tcp(host: String, port: Int)
    case unix(path: String)
  }

  public var endpoint: Endpoint
  public var user: String?
  public var password: String?
  public var database: Int

  public init(endpoint: Endpoint, user: String? = nil, password: String? = nil, database: Int = 0) {
    self.endpoint = endpoint
    self.user = user
    self.password = password
    self.database = database
  }

  /// - Throws: `invalidArgument` that says which part is wrong and never repeats the password.
  public init(_ url: String) throws(ServingError) {
    func invalid(_ reason: String) -> ServingError {
      ServingError(
        .invalidArgument,
        "the Redis address \(reason); write redis://[:password@]host[:port][/database] or unix:///path[?db=number]")
    }
    let isUnix: Bool
    var rest: Substring
    if url.hasPrefix("redis://") {
      (isUnix, rest) = (false, url.dropFirst("redis://".count))
    } else if url.hasPrefix("unix://") {
      (isUnix, rest) = (true, url.dropFirst("unix://".count))
    } else {
      throw invalid("begins with neither redis:// nor unix://")
    }
    if let at = rest.lastIndex(of: "@") {
      let login = rest[..<at]
      rest = rest[rest.index(after: at)...]
      let parts = login.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
      guard parts.count == 2 else { throw invalid("has a login without ':'") }
      guard let user = Self.unescaped(parts[0]), let password = Self.unescaped(parts[1]) else {
        throw invalid("has a wrong percent escape in its login")
      }
      self.user = user.isEmpty ? nil : user
      self.password = password.isEmpty ? nil : password
    } else {
      user = nil
      password = nil
    }
    func number(_ text: Substring, _ name: String, _ range: ClosedRange<Int>) throws(ServingError) -> Int {
      guard let value = Int(text), range.contains(value) else {
        throw invalid("has \(name) '\(text)', which is not between \(range.lowerBound) and \(range.upperBound)")
      }
      return value
    }
    let databases = 0...65_535
    if isUnix {
      let parts = rest.split(separator: "?", maxSplits: 1, omittingEmptySubsequences: false)
      guard parts[0].hasPrefix("/") else { throw invalid("has no absolute path to a socket") }
      endpoint = .unix(path: String(parts[0]))
      guard parts.count == 2 else {
        database = 0
        return
      }
      guard parts[1].hasPrefix("db=") else { throw invalid("has an unknown option; only db is known") }
      database = try number(parts[1].dropFirst(3), "database", databases)
      return
    }
    let parts = rest.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false)
    database = parts.count == 2 && !parts[1].isEmpty ? try number(parts[1], "database", databases) : 0
    let authority = parts[0]
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
      host = pieces[0]
      port = pieces.count == 2 ? pieces[1] : ""
    }
    guard !host.isEmpty else { throw invalid("names no host") }
    endpoint = .tcp(host: String(host), port: port.isEmpty ? 6379 : try number(port, "port", 1...65_535))
  }

  /// The address without its password.
  public var description: String {
    let login = password == nil ? "" : "\(user ?? ""):***@"
    switch endpoint {
    case .tcp(let host, let port):
      let host = host.contains(":") ? "[\(host)]" : host
      return "redis://\(login)\(host):\(port)/\(database)"
    case .unix(let path): return "unix://\(login)\(path)?db=\(database)"
    }
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
