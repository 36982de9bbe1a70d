import CgRPC
import GRPCCore

extension ClientSecurity {
  /// Calls `body` with the library's form of the credentials, valid during the call only.
  func withCredentials<Result>(_ body: (OpaquePointer) throws -> Result) throws -> Result {
    let credentials: OpaquePointer? =
      switch self {
      case .plaintext:
        grpc_insecure_credentials_create()
      case .tls(let tls):
        if let identity = tls.identity {
          identity.withPair { grpc_ssl_credentials_create(tls.trustedRoots, $0, nil, nil) }
        } else {
          grpc_ssl_credentials_create(tls.trustedRoots, nil, nil, nil)
        }
      }
    guard let credentials else {
      throw RPCError(code: .invalidArgument, message: "the TLS material cannot be used: check that it is PEM")
    }
    defer { grpc_channel_credentials_release(credentials) }
    return try body(credentials)
  }
}

extension ServerSecurity {
  /// Calls `body` with the library's form of the credentials, valid during the call only.
  func withCredentials<Result>(_ body: (OpaquePointer) throws -> Result) throws -> Result {
    let credentials: OpaquePointer? =
      switch self {
      case .plaintext:
        grpc_insecure_server_credentials_create()
      case .tls(let tls):
        tls.identity.withPair { pair in
          grpc_ssl_server_credentials_create_ex(
            tls.clientRoots, pair, 1,
            tls.clientRoots == nil
              ? GRPC_SSL_DONT_REQUEST_CLIENT_CERTIFICATE : GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY,
            nil)
        }
      }
    guard let credentials else {
      throw RPCError(code: .invalidArgument, message: "the TLS material cannot be used: check that it is PEM")
    }
    defer { grpc_server_credentials_release(credentials) }
    return try body(credentials)
  }
}

extension CertifiedKey {
  fileprivate func withPair<Result>(_ body: (UnsafeMutablePointer<grpc_ssl_pem_key_cert_pair>) -> Result) -> Result {
    privateKey.withCString { key in
      certificateChain.withCString { chain in
        var pair = grpc_ssl_pem_key_cert_pair(private_key: key, cert_chain: chain)
        return withUnsafeMutablePointer(to: &pair) { body($0) }
      }
    }
  }
}
