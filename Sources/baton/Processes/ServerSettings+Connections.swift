import Directory
import Foundation
import GRPCTransport
import Logging
import OpenAIAPI
import RPC
import ServingTypes

extension ServerSettings {
  private var tls: TLSConfiguration? {
    guard tlsCertificate != nil || tlsCA != nil else { return nil }
    return TLSConfiguration(certificateFile: tlsCertificate, privateKeyFile: tlsKey, authorityFile: tlsCA)
  }

  /// How this process's gRPC server listens.
  func serverTransport() throws(ServingError) -> LibGRPCServerTransport.Configuration {
    var configuration = LibGRPCServerTransport.Configuration()
    if tlsCertificate != nil, let tls { configuration.security = try tls.serverSecurity() }
    configuration.gracePeriod = drainTimeout
    return configuration
  }

  /// Connections to other processes, with the same trust and token as this one's own server.
  ///
  /// - Parameters:
  ///   - blockBytes: the size of the blocks that come over them.
  ///   - queue: serves them; where nil, tokens and blocks have one of their own each.
  func channels(blockBytes: Int = 0, queue: CompletionQueue? = nil) throws(ServingError) -> ChannelPool {
    var configuration = ChannelPool.Configuration()
    let largest = blockBytes + (64 << 10)
    configuration.limits.maxReceiveMessageBytes = max(configuration.limits.maxReceiveMessageBytes, largest)
    if let tls { configuration.security = try tls.clientSecurity() }
    if let authToken { configuration.interceptors = [try AuthenticationInterceptor(token: authToken)] }
    return try ChannelPool(configuration: configuration, queue: queue)
  }

  /// The directory in Redis, when one is configured; changes of its health are logged.
  func directory(logger: Logger) throws(ServingError) -> RedisDirectory? {
    guard let redis else { return nil }
    return try RedisDirectory(address: try RedisAddress(redis)) { health in
      switch health {
      case .connected: logger.info("directory connected")
      case .disconnected(let reason): logger.warning("directory disconnected", metadata: ["reason": "\(reason)"])
      case .failing(let failure, let reason):
        logger.warning("directory fails", metadata: ["failure": "\(failure.rawValue)", "reason": "\(reason)"])
      }
    }
  }

  /// Where HTTP listens; nil where it is off.
  func httpListener() throws(ServingError) -> HTTPListenerConfiguration? {
    guard let httpListen else { return nil }
    let address = try ServerAddress(httpListen)
    guard let port = address.port, let colon = httpListen.lastIndex(of: ":") else {
      throw ServingError(.invalidArgument, "http_listen is '\(httpListen)'; HTTP listens on host:port")
    }
    let host = httpListen[..<colon].filter { $0 != "[" && $0 != "]" }
    return HTTPListenerConfiguration(host: host, port: port)
  }

  /// The HTTP address with the port that was bound.
  func httpAddress(port: Int) -> String {
    guard let httpListen, let colon = httpListen.lastIndex(of: ":") else { return "" }
    return "\(httpListen[...colon])\(port)"
  }
}
