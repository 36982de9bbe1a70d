/// How a connection to Redis is encrypted: the server's certificate is always verified.
public struct RedisTLS: Hashable, Sendable {
  /// PEM file of the authorities that are trusted; nil: the system's.
  public var authorityFile: String?
  /// PEM files of the certificate that this side shows, and of its key.
  public var certificateFile: String?
  public var keyFile: String?

  public init(authorityFile: String? = nil, certificateFile: String? = nil, keyFile: String? = nil) {
    self.authorityFile = authorityFile
    self.certificateFile = certificateFile
    self.keyFile = keyFile
  }
}
