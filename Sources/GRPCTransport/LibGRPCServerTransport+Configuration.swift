extension LibGRPCServerTransport {
  /// Settings with their defaults.
  public struct Configuration: Sendable {
    public var security = ServerSecurity.plaintext
    public var limits = MessageLimits()
    public var keepalive: Keepalive? = Keepalive()
    public var http2 = HTTP2Tuning.small
    /// Calls under way in all; further ones are refused with RESOURCE_EXHAUSTED.
    public var maxConcurrentCalls = 4096
    /// Calls under way on one connection; a client holds further ones back.
    public var maxConcurrentStreamsPerConnection = 2048
    /// Calls that may arrive between two looks at the queue before they wait in the library.
    public var acceptSlots = 64
    /// How long calls may go on after the shutdown began.
    public var gracePeriod = Duration.seconds(30)
    /// Whether handlers run on the queue's thread. Only for handlers that never block or
    /// compute for long: halves the latency of short calls.
    public var runsHandlersOnQueue = false

    /// Whether a handler that has written a message goes on at once, and waits before it writes the next one. Only where
    /// messages own their bytes: what lends memory has to know when it was sent.
    public var sendsAhead = false

    public init() {}
  }
}

extension LibGRPCServerTransport.Configuration {
  var arguments: ChannelArguments {
    var arguments = ChannelArguments()
    arguments.set(limits)
    arguments.set(http2)
    if let keepalive { arguments.set(keepalive) }
    arguments.set("grpc.max_concurrent_streams", maxConcurrentStreamsPerConnection)
    // Clients' pings are welcome: without them a dead server is noticed late.
    arguments.set("grpc.http2.min_ping_interval_without_data_ms", Duration.seconds(1))
    arguments.set("grpc.http2.max_ping_strikes", 0)
    // A second server on the same port is an error, not a silent sharer.
    arguments.set("grpc.so_reuseport", false)
    return arguments
  }
}
