import CTLS
import Glibc

/// TLS over a connected, non-blocking socket. One thread.
final class RedisTLSSession {
  private let context: OpaquePointer
  private let session: OpaquePointer
  private let descriptor: Int32

  /// Reads the files and shakes hands.
  init(
    _ configuration: RedisTLS, descriptor: Int32, host: String, deadline: ContinuousClock.Instant
  ) throws(RedisFailure) {
    let context = try Self.context(configuration)
    guard let session = SSL_new(context) else {
      SSL_CTX_free(context)
      throw Self.failure("no memory for TLS")
    }
    self.context = context
    self.session = session
    self.descriptor = descriptor
    try shakeHands(host: host, deadline: deadline)
  }

  deinit {
    SSL_free(session)
    SSL_CTX_free(context)
  }

  /// Says good-bye, without waiting for the answer.
  func end() { SSL_shutdown(session) }

  /// - Returns: how many bytes went out.
  func write(_ bytes: ArraySlice<UInt8>, deadline: ContinuousClock.Instant) throws(RedisFailure) -> Int {
    while true {
      let result = bytes.withUnsafeBytes { bytes in
        SSL_write(session, bytes.baseAddress, Int32(clamping: min(bytes.count, 1 << 20)))
      }
      if result > 0 { return Int(result) }
      try wait(after: result, deadline: deadline)
    }
  }

  func read(into buffer: UnsafeMutableRawBufferPointer, deadline: ContinuousClock.Instant) throws(RedisFailure) -> Int {
    while true {
      let result = SSL_read(session, buffer.baseAddress, Int32(clamping: buffer.count))
      if result > 0 { return Int(result) }
      try wait(after: result, deadline: deadline)
    }
  }

  private func shakeHands(host: String, deadline: ContinuousClock.Instant) throws(RedisFailure) {
    // An address is compared with the certificate's addresses, a name with its names.
    var scratch = in6_addr()
    let isAddress = inet_pton(AF_INET, host, &scratch) == 1 || inet_pton(AF_INET6, host, &scratch) == 1
    let isBound: Bool
    if isAddress {
      isBound = X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(session), host) == 1
    } else {
      let isNamed = host.withCString { name in
        SSL_ctrl(
          session, SSL_CTRL_SET_TLSEXT_HOSTNAME, Int(TLSEXT_NAMETYPE_host_name), UnsafeMutableRawPointer(mutating: name)
        )
      }
      isBound = isNamed == 1 && SSL_set1_host(session, host) == 1
    }
    guard isBound, SSL_set_fd(session, descriptor) == 1 else { throw Self.failure("TLS for \(host)") }
    while true {
      let result = SSL_connect(session)
      if result == 1 { return }
      try wait(after: result, deadline: deadline)
    }
  }

  private func wait(after result: Int32, deadline: ContinuousClock.Instant) throws(RedisFailure) {
    switch SSL_get_error(session, result) {
    case SSL_ERROR_WANT_READ: try RedisSocket.wait(descriptor, for: Int16(POLLIN), deadline: deadline)
    case SSL_ERROR_WANT_WRITE: try RedisSocket.wait(descriptor, for: Int16(POLLOUT), deadline: deadline)
    case SSL_ERROR_ZERO_RETURN: throw RedisFailure(.connection, "Redis closed the connection")
    default: throw Self.failure("TLS")
    }
  }

  private static func context(_ configuration: RedisTLS) throws(RedisFailure) -> OpaquePointer {
    guard let context = SSL_CTX_new(TLS_client_method()) else { throw failure("no memory for TLS") }
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, nil)
    SSL_CTX_ctrl(context, SSL_CTRL_SET_MIN_PROTO_VERSION, Int(TLS1_2_VERSION), nil)
    // A write may go on from another buffer, and need not be finished.
    SSL_CTX_ctrl(context, SSL_CTRL_MODE, Int(SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER), nil)
    do throws(RedisFailure) {
      if let file = configuration.authorityFile {
        guard SSL_CTX_load_verify_locations(context, file, nil) == 1 else {
          throw failure("the authorities in \(file)")
        }
      } else {
        SSL_CTX_set_default_verify_paths(context)
      }
      if let file = configuration.certificateFile {
        guard SSL_CTX_use_certificate_chain_file(context, file) == 1 else {
          throw failure("the certificate in \(file)")
        }
      }
      if let file = configuration.keyFile {
        guard SSL_CTX_use_PrivateKey_file(context, file, SSL_FILETYPE_PEM) == 1 else {
          throw failure("the key in \(file)")
        }
      }
      return context
    } catch {
      SSL_CTX_free(context)
      throw error
    }
  }

  /// With what OpenSSL has to say about it.
  private static func failure(_ what: String) -> RedisFailure {
    let code = ERR_get_error()
    ERR_clear_error()
    let reason = ERR_reason_error_string(code).map { String(cString: $0) } ?? "the connection broke"
    return RedisFailure(.connection, "\(what): \(reason)")
  }
}
