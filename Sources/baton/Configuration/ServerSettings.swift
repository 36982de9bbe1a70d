import Directory
import ServingTypes

/// Addresses, the directory and who may call.
struct ServerSettings: Sendable {
  var listen: String
  /// Nil: no HTTP.
  var httpListen: String?
  /// Nil: no directory beyond the process.
  var redis: String?
  var drainTimeout: Duration
  /// After which a process that stands still calls itself dead.
  var livenessTimeout: Duration
  /// How long a peer that has fallen silent may take to say that it lives.
  var probeTimeout: Duration
  var authToken: String?
  var tlsCertificate: String?
  var tlsKey: String?
  var tlsCA: String?

  init(_ options: ServerOptions, listen: String, httpListen: String, _ reader: inout ParameterReader) {
    self.listen = reader.address("listen", flag: options.listen, default: listen)
    self.httpListen = reader.networkAddress("http_listen", flag: options.httpListen, default: httpListen)
    redis = reader.string("redis", flag: options.redis)
    if let redis {
      do throws(ServingError) {
        reader.mask(try RedisAddress(redis).description)
      } catch {
        reader.mask(ParameterReader.hidden)
        reader.note(problem: error.message)
      }
    }
    drainTimeout = reader.duration("drain_timeout", flag: options.drainTimeout, default: .seconds(30))
    livenessTimeout = reader.positiveDuration("liveness_timeout", flag: options.livenessTimeout, default: .seconds(60))
    probeTimeout = reader.positiveDuration("probe_timeout", flag: options.probeTimeout, default: .seconds(2))
    authToken = reader.string("auth_token", flag: options.authToken, secret: true)
    tlsCertificate = reader.string("tls_certificate", flag: options.tlsCertificate)
    tlsKey = reader.string("tls_key", flag: options.tlsKey)
    tlsCA = reader.string("tls_ca", flag: options.tlsCa)
    if (tlsCertificate == nil) != (tlsKey == nil) {
      reader.note(problem: "tls_certificate and tls_key go together: give both or neither")
    }
  }
}
