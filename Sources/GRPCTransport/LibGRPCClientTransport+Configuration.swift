extension LibGRPCClientTransport {
  /// Settings with their defaults.
  public struct Configuration: Sendable {
    public var security = ClientSecurity.plaintext
    public var limits = MessageLimits()
    public var keepalive: Keepalive? = Keepalive()
    public var backoff = ConnectionBackoff()
    public var http2 = HTTP2Tuning.small
    /// Whether a call to a server that cannot be reached waits until it can, or its deadline passes, instead of failing
    /// at once with UNAVAILABLE. `CallOptions.waitForReady` goes first.
    public var waitForReady = false
    /// Further calls fail at once with RESOURCE_EXHAUSTED.
    public var maxConcurrentCalls = 4096
    /// The authority sent, where it differs from the target's.
    public var authority: String?
    public var userAgent = "baton"

    public init() {}
  }
}

extension LibGRPCClientTransport.Configuration {
  var arguments: ChannelArguments {
    var arguments = ChannelArguments()
    arguments.set(limits)
    arguments.set(http2)
    if let keepalive { arguments.set(keepalive) }
    arguments.set("grpc.initial_reconnect_backoff_ms", backoff.initial)
    arguments.set("grpc.max_reconnect_backoff_ms", backoff.maximum)
    arguments.set("grpc.min_reconnect_backoff_ms", backoff.attemptTimeout)
    arguments.set("grpc.enable_retries", false)
    arguments.set("grpc.service_config_disable_resolution", true)
    arguments.set("grpc.enable_http_proxy", false)
    // Else two channels with equal settings share one connection, and tokens wait behind blocks.
    arguments.set("grpc.use_local_subchannel_pool", true)
    arguments.set("grpc.primary_user_agent", userAgent)
    if let authority { arguments.set("grpc.default_authority", authority) }
    if case .tls(let tls) = security, let name = tls.serverName {
      arguments.set("grpc.ssl_target_name_override", name)
    }
    return arguments
  }
}
