import ServingTypes

/// Where a server listens or is found: a host and a port, or a local socket.
public struct ServerAddress: Hashable, Sendable, CustomStringConvertible {
  private enum Location: Hashable, Sendable {
    case network(host: String, port: Int)
    case unix(path: String)
  }

  private let location: Location

  /// - Parameter port: 0 to 65535; 0 lets a server choose.
  public init(host: String, port: Int) { location = .network(host: host, port: port) }

  public init(unixPath: String) { location = .unix(path: unixPath) }

  /// Reads `host:port`, `[ipv6]:port` or `unix:path`.
  ///
  /// - Throws: `ServingError` with code `invalidArgument` that quotes the text.
  public init(_ text: String) throws(ServingError) {
    func refuse(_ reason: String) -> ServingError {
      ServingError(.invalidArgument, "'\(text)' is not an address: \(reason)")
    }
    if text.hasPrefix("unix:") {
      let path = text.dropFirst("unix:".count)
      guard !path.isEmpty else { throw refuse("the path is missing") }
      self.init(unixPath: String(path))
      return
    }
    guard let colon = text.utf8.lastIndex(of: UInt8(ascii: ":")) else { throw refuse("expected host:port") }
    guard let port = UInt16(text[text.utf8.index(after: colon)...]) else { throw refuse("the port must be 0 to 65535") }
    var host = text[..<colon]
    if host.hasPrefix("["), host.hasSuffix("]") {
      host = host.dropFirst().dropLast()
      guard host.utf8.contains(UInt8(ascii: ":")) else { throw refuse("brackets are for IPv6 addresses") }
    } else if host.utf8.contains(UInt8(ascii: ":")) {
      throw refuse("an IPv6 address goes in brackets")
    }
    guard !host.isEmpty, !host.unicodeScalars.contains(where: { $0.properties.isWhitespace || $0 == "/" }) else {
      throw refuse("the host is missing or malformed")
    }
    self.init(host: String(host), port: Int(port))
  }

  /// nil for a local socket.
  public var port: Int? {
    if case .network(_, let port) = location { return port }
    return nil
  }

  /// The same host with another port, for a server that chose one. A local socket stays as it is.
  public func with(port: Int) -> ServerAddress {
    if case .network(let host, _) = location { return ServerAddress(host: host, port: port) }
    return self
  }

  /// As the transports take it, to connect to and to listen on.
  public var description: String {
    switch location {
    case .network(let host, let port): host.utf8.contains(UInt8(ascii: ":")) ? "[\(host)]:\(port)" : "\(host):\(port)"
    case .unix(let path): "unix:\(path)"
    }
  }
}
