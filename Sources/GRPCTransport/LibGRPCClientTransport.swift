import GRPCCore
import ServingTypes

/// GRPCCore's client transport over libgrpc: one target, one connection, kept and renewed by the library.
///
/// Deadlines come from `CallDeadline` and `CallOptions.timeout`, whichever is earlier. A cancelled task cancels its call. Retries
/// are GRPCCore's, never the library's. `ArrivalHandler` may take messages before their reader.
public final class LibGRPCClientTransport: ClientTransport {
  public typealias Bytes = GRPCBytes

  private struct State {
    var isStopping = false
    var calls: [ObjectIdentifier: Call] = [:]
  }

  /// The target as given.
  public let target: String
  /// The queue that serves this transport's calls; several transports may share one.
  public let queue: CompletionQueue
  public let configuration: Configuration
  public let retryThrottle: RetryThrottle?

  private let channel: Channel
  private let state = Lock(State())
  private let drained = Latch()

  /// Does not connect yet: the first call does, or `connect()`.
  ///
  /// - Parameters:
  ///   - target: in the library's syntax, for example `host:port`, `dns:///host:port`, `ipv4:127.0.0.1:50051`,
  ///     `unix:/path`.
  ///   - queue: a new one where nil.
  /// - Throws: `RPCError` with code `invalidArgument` for TLS material that cannot be used.
  public init(target: String, configuration: Configuration = .init(), queue: CompletionQueue? = nil) throws {
    self.target = target
    self.configuration = configuration
    let queue = try queue ?? CompletionQueue(name: "grpc-client")
    self.queue = queue
    retryThrottle = RetryThrottle(maxTokens: 10, tokenRatio: 0.1)
    channel = try Channel(
      target: target, security: configuration.security, arguments: configuration.arguments, queue: queue)
  }

  /// The calls under way.
  public var callCount: Int { state.withLock { $0.calls.count } }

  public func connect() async throws {
    if state.withLock({ $0.isStopping && $0.calls.isEmpty }) { return }
    channel.connect()
    await withTaskCancellationHandler {
      await drained.wait()
    } onCancel: {
      stop(cancellingCalls: true)
    }
  }

  public func beginGracefulShutdown() { stop(cancellingCalls: false) }

  public func config(forMethod descriptor: MethodDescriptor) -> MethodConfig? { nil }

  public func withStream<Result: Sendable>(
    descriptor: MethodDescriptor,
    options: CallOptions,
    _ closure: (_ stream: RPCStream<Inbound, Outbound>, _ context: ClientContext) async throws -> Result
  ) async throws -> Result {
    let left = CallDeadline.current.map { ContinuousClock.now.duration(to: $0) }
    let call = try startCall(
      descriptor, timeout: [left, options.timeout].compactMap(\.self).min(),
      arrivals: options.maxResponseMessageBytes == nil ? ArrivalHandler.current : nil)
    let inbound = ClientInbound(
      call: call, isSingle: descriptor.type.map { !$0.isResponseStreaming } ?? false,
      maxMessageBytes: options.maxResponseMessageBytes)
    let outbound = ClientOutbound(
      call: call, isSingle: descriptor.type.map { !$0.isRequestStreaming } ?? false,
      waitForReady: options.waitForReady ?? configuration.waitForReady,
      maxMessageBytes: options.maxRequestMessageBytes)
    // Whatever the closure left unread or unsent ends with it. A call that is over is not touched.
    defer { call.cancel() }
    return try await withTaskCancellationHandler {
      try await ArrivalHandler.$current.withValue(nil) {
        try await closure(
          RPCStream(
            descriptor: descriptor, inbound: RPCAsyncSequence(wrapping: inbound),
            outbound: RPCWriter.Closable(wrapping: outbound)),
          ClientContext(descriptor: descriptor, remotePeer: target, localPeer: "client"))
      }
    } onCancel: {
      call.cancel()
    }
  }

  private func startCall(
    _ descriptor: MethodDescriptor, timeout: Duration?, arrivals: ArrivalHandler?
  ) throws -> Call {
    // The registry keeps the call until the library has reported its end.
    let call = try channel.makeCall(method: descriptor, timeout: timeout, arrivals: arrivals) { [weak self] in
      self?.remove($0)
    }
    try state.withLock { state in
      if state.isStopping {
        throw RPCError(code: .failedPrecondition, message: "the connection to \(target) is closed")
      }
      if state.calls.count >= configuration.maxConcurrentCalls {
        throw RPCError(
          code: .resourceExhausted, message: "\(state.calls.count) calls to \(target) are under way, which is the limit"
        )
      }
      state.calls[ObjectIdentifier(call)] = call
    }
    call.startClient()
    return call
  }

  private func remove(_ call: Call) {
    let isDrained = state.withLock { state in
      state.calls.removeValue(forKey: ObjectIdentifier(call))
      return state.isStopping && state.calls.isEmpty
    }
    if isDrained { drained.open() }
  }

  private func stop(cancellingCalls: Bool) {
    let calls = state.withLock { state in
      state.isStopping = true
      return Array(state.calls.values)
    }
    if calls.isEmpty { drained.open() }
    if cancellingCalls {
      for call in calls { call.cancel(.cancelled, "the connection was closed") }
    }
  }
}
