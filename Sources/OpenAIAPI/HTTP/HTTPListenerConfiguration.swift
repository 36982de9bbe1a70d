/// Where and within which limits a server listens.
public struct HTTPListenerConfiguration: Sendable {
  public var host: String
  /// 0 lets the system choose; `BoundPort` tells which.
  public var port: Int
  /// Connections beyond this wait in the kernel's queue.
  public var maximumConnections: Int
  /// A connection that sends nothing for so long, between requests or in the midst of one, is closed.
  public var idleTimeout: Duration
  /// A client that reads nothing for so long while an answer waits for it is cut off.
  public var writeTimeout: Duration

  public init(
    host: String = "127.0.0.1", port: Int = 8000, maximumConnections: Int = 4096, idleTimeout: Duration = .seconds(120),
    writeTimeout: Duration = .seconds(60)
  ) {
    self.host = host
    self.port = port
    self.maximumConnections = maximumConnections
    self.idleTimeout = idleTimeout
    self.writeTimeout = writeTimeout
  }
}
