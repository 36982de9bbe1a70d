import GRPCCore
import ServingTypes

/// GRPCCore's server transport over libgrpc, bound to one address when created.
///
/// A call's handler runs in a task that is cancelled, like the context's cancellation handle, as soon as the client
/// cancels, its deadline passes or its connection is lost. A call beyond the limit is refused with RESOURCE_EXHAUSTED.
public final class LibGRPCServerTransport: ServerTransport {
  public typealias Bytes = GRPCBytes

  private struct State {
    var methods: [String: MethodDescriptor] = [:]
    var callCount = 0
    var isStopping = false
  }

  /// As given, with the real port where it was 0, for example `ipv4:127.0.0.1:50051` or `unix:/path`.
  public let address: String
  /// The port bound; 1 for a `unix:` address.
  public let port: Int
  /// The queue that serves this transport's calls.
  public let queue: CompletionQueue
  public let configuration: Configuration

  private let core: ServerCore
  private let state = Lock(State())
  private let stopping = Latch()
  private let shutDown = Latch()
  private let accepted: AsyncStream<AcceptedCall>
  private let acceptor: AsyncStream<AcceptedCall>.Continuation

  /// Binds. Connections made from now on wait until `listen` is called.
  ///
  /// - Parameters:
  ///   - address: in the library's syntax, for example `0.0.0.0:50051`, `[::]:0`, `unix:/path`.
  ///   - queue: a new one where nil.
  /// - Throws: `RPCError` with code `unavailable` where the address cannot be bound, `invalidArgument` for TLS material
  ///   that cannot be used.
  public init(address: String, configuration: Configuration = .init(), queue: CompletionQueue? = nil) throws {
    let queue = try queue ?? CompletionQueue(name: "grpc-server")
    self.queue = queue
    self.configuration = configuration
    core = try ServerCore(
      address: address, security: configuration.security, arguments: configuration.arguments, queue: queue)
    port = core.port
    if !address.hasPrefix("unix"), let colon = address.lastIndex(of: ":") {
      self.address = address[...colon] + String(core.port)
    } else {
      self.address = address
    }
    // As many as calls may be under way; `accept` refuses what does not fit.
    (accepted, acceptor) = AsyncStream.makeStream(bufferingPolicy: .bufferingOldest(configuration.maxConcurrentCalls))
  }

  /// The calls under way.
  public var callCount: Int { state.withLock { $0.callCount } }

  public func configure(context: GRPCServerContext) {
    state.withLock { state in
      for method in context.methods { state.methods["/" + method.fullyQualifiedMethod] = method }
    }
  }

  public func beginGracefulShutdown() {
    state.withLock { $0.isStopping = true }
    stopping.open()
    core.shutDown { [acceptor, shutDown] in
      acceptor.finish()
      shutDown.open()
    }
  }

  /// Serves until the shutdown is done. A cancelled task ends all calls at once.
  public func listen(
    streamHandler: @escaping @Sendable (_ stream: RPCStream<Inbound, Outbound>, _ context: ServerContext) async -> Void
  ) async throws {
    let started = core.start(
      slots: configuration.acceptSlots,
      onAccept: { [weak self] in self?.accept($0) },
      onClose: { [weak self] in self?.state.withLock { $0.callCount -= 1 } })
    guard started else {
      if state.withLock({ $0.isStopping }) { return }
      throw RPCError(code: .failedPrecondition, message: "the server listens on \(address) already")
    }
    let executor: (any TaskExecutor)? = configuration.runsHandlersOnQueue ? queue.executor : nil
    await withTaskCancellationHandler {
      await withTaskGroup(of: Void.self) { group in
        group.addTask { await self.enforceGracePeriod() }
        await withTaskExecutorPreference(executor) {
          await withDiscardingTaskGroup { calls in
            for await call in accepted {
              calls.addTask { await self.serve(call, streamHandler) }
            }
          }
        }
        await shutDown.wait()
        group.cancelAll()
      }
    } onCancel: {
      beginGracefulShutdown()
      core.cancelCalls()
    }
  }

  /// Cancels what is left when the grace period is over.
  private func enforceGracePeriod() async {
    await stopping.wait()
    do {
      try await Task.sleep(for: configuration.gracePeriod)
    } catch {
      return  // All calls are over.
    }
    core.cancelCalls()
  }

  /// On the queue's thread.
  private func accept(_ accepted: AcceptedCall) {
    accepted.call.startServer()
    let refusal = state.withLock { state -> Status? in
      state.callCount += 1
      if state.callCount > configuration.maxConcurrentCalls {
        return Status(code: .resourceExhausted, message: "the server is at its limit of calls; try again later")
      }
      return state.isStopping ? Status(code: .unavailable, message: "the server is shutting down") : nil
    }
    if let refusal { return refuse(accepted.call, refusal) }
    // Calls that ended before a task took them lie there too, so it can be full.
    guard case .enqueued = acceptor.yield(accepted) else {
      return refuse(
        accepted.call, Status(code: .resourceExhausted, message: "the server is behind with its calls; try again later")
      )
    }
  }

  private func refuse(_ call: Call, _ status: Status) {
    try? call.sendEnd(status, trailing: ["retry-after-ms": "1000"], head: [:], message: nil)
  }

  private func serve(
    _ accepted: AcceptedCall,
    _ handler: @escaping @Sendable (_ stream: RPCStream<Inbound, Outbound>, _ context: ServerContext) async -> Void
  ) async {
    let call = accepted.call
    let descriptor = descriptor(of: accepted.path)
    let inbound = ServerInbound(
      call: call, metadata: accepted.metadata, isSingle: descriptor.type.map { !$0.isRequestStreaming } ?? false)
    let outbound = ServerOutbound(
      call: call, isSingle: descriptor.type.map { !$0.isResponseStreaming } ?? false,
      sendsAhead: configuration.sendsAhead)
    await withServerContextRPCCancellationHandle { cancellation in
      var context = ServerContext(
        descriptor: descriptor, remotePeer: call.peer, localPeer: address, cancellation: cancellation)
      context.transportSpecific = LibGRPCServerContext(
        deadline: accepted.timeout.map { ContinuousClock.now + $0 }, peerIdentities: call.peerIdentities,
        writeNow: { outbound.writeNow($0) })
      let immutableContext = context
      await withTaskGroup(of: Void.self) { group in
        group.addTask {
          await handler(
            RPCStream(
              descriptor: descriptor, inbound: RPCAsyncSequence(wrapping: inbound),
              outbound: RPCWriter.Closable(wrapping: outbound)),
            immutableContext)
          await outbound.finish()
        }
        if await call.waitUntilClosed() {
          cancellation.cancel()
          group.cancelAll()
        }
      }
    }
  }

  private func descriptor(of path: String) -> MethodDescriptor {
    if let known = state.withLock({ $0.methods[path] }) { return known }
    let parts = path.dropFirst().split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false)
    return MethodDescriptor(
      service: ServiceDescriptor(fullyQualifiedService: parts.first.map(String.init) ?? ""),
      method: parts.count > 1 ? String(parts[1]) : "")
  }
}
