/// How a client secures its connections.
public enum ClientSecurity: Sendable {
  case plaintext
  case tls(ClientTLS)
}

/// How a server secures its connections.
public enum ServerSecurity: Sendable {
  case plaintext
  case tls(ServerTLS)
}

/// A certificate chain and its private key, both in PEM. Described without the key.
public struct CertifiedKey: Sendable, CustomStringConvertible {
  public var certificateChain: String
  public var privateKey: String

  public init(certificateChain: String, privateKey: String) {
    self.certificateChain = certificateChain
    self.privateKey = privateKey
  }

  public var description: String { "CertifiedKey(certificateChain: \(certificateChain.utf8.count) bytes)" }
}

/// TLS on the client's side.
public struct ClientTLS: Sendable {
  /// The authorities trusted, in PEM; nil for the system's.
  public var trustedRoots: String?
  /// Shown to a server that asks for it.
  public var identity: CertifiedKey?
  /// The name expected in the server's certificate where it differs from the target's.
  public var serverName: String?

  public init(trustedRoots: String? = nil, identity: CertifiedKey? = nil, serverName: String? = nil) {
    self.trustedRoots = trustedRoots
    self.identity = identity
    self.serverName = serverName
  }
}

/// TLS on the server's side.
public struct ServerTLS: Sendable {
  public var identity: CertifiedKey
  /// The authorities of client certificates, in PEM. Where given, a client without a valid certificate is turned away.
  public var clientRoots: String?

  public init(identity: CertifiedKey, clientRoots: String? = nil) {
    self.identity = identity
    self.clientRoots = clientRoots
  }
}
