import Foundation
import GRPCTransport
import ServingTypes

/// TLS as it is configured: files in PEM. With an authority on both sides, both sides prove who they are.
public struct TLSConfiguration: Hashable, Sendable {
  public var certificateFile: String?
  public var privateKeyFile: String?
  /// The authority: of servers for a client, of clients for a server.
  public var authorityFile: String?
  /// The name expected in a server's certificate where it differs from its address.
  public var serverName: String?

  public init(
    certificateFile: String? = nil, privateKeyFile: String? = nil, authorityFile: String? = nil,
    serverName: String? = nil
  ) {
    self.certificateFile = certificateFile
    self.privateKeyFile = privateKeyFile
    self.authorityFile = authorityFile
    self.serverName = serverName
  }

  /// Reads the files for a client.
  ///
  /// - Throws: `ServingError` with code `invalidArgument` that names the file or the missing setting.
  public func clientSecurity() throws(ServingError) -> ClientSecurity {
    .tls(ClientTLS(trustedRoots: try read(authorityFile, "CERTIFICATE"), identity: try identity(), serverName: serverName))
  }

  /// Reads the files for a server. With an authority, clients must show a certificate of it.
  ///
  /// - Throws: `ServingError` with code `invalidArgument` that names the file or the missing setting.
  public func serverSecurity() throws(ServingError) -> ServerSecurity {
    guard let identity = try identity() else {
      throw ServingError(.invalidArgument, "a server with TLS needs a certificate file and a private key file")
    }
    return .tls(ServerTLS(identity: identity, clientRoots: try read(authorityFile, "CERTIFICATE")))
  }

  private func identity() throws(ServingError) -> CertifiedKey? {
    switch (try read(certificateFile, "CERTIFICATE"), try read(privateKeyFile, "PRIVATE KEY")) {
    case (nil, nil): return nil
    case (let chain?, let key?): return CertifiedKey(certificateChain: chain, privateKey: key)
    default: throw ServingError(.invalidArgument, "the certificate file and the private key file go together")
    }
  }

  /// - Parameter kind: what the file must hold, as PEM names it.
  private func read(_ file: String?, _ kind: String) throws(ServingError) -> String? {
    guard let file else { return nil }
    let text: String
    do {
      text = try String(contentsOfFile: file, encoding: .utf8)
    } catch {
      throw ServingError(.invalidArgument, "cannot read the TLS file '\(file)': \(error.localizedDescription)")
    }
    guard text.contains("-----BEGIN "), text.contains("\(kind)-----") else {
      throw ServingError(.invalidArgument, "the TLS file '\(file)' holds no \(kind) in PEM")
    }
    return text
  }
}
