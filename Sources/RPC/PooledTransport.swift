import GRPCCore
import GRPCTransport

/// What carries a pooled client's calls: libgrpc, or in a simulation something in its place.
public enum PooledTransport: ClientTransport {
  public typealias Bytes = GRPCBytes

  case network(LibGRPCClientTransport)
  case simulated(any ClientTransport<GRPCBytes>)

  private var transport: any ClientTransport<GRPCBytes> {
    switch self {
    case .network(let transport): transport
    case .simulated(let transport): transport
    }
  }

  public var retryThrottle: RetryThrottle? { transport.retryThrottle }

  public func connect() async throws { try await transport.connect() }

  public func beginGracefulShutdown() { transport.beginGracefulShutdown() }

  public func config(forMethod descriptor: MethodDescriptor) -> MethodConfig? {
    transport.config(forMethod: descriptor)
  }

  public func withStream<Result: Sendable>(
    descriptor: MethodDescriptor, options: CallOptions,
    _ closure: (_ stream: RPCStream<Inbound, Outbound>, _ context: ClientContext) async throws -> Result
  ) async throws -> Result {
    switch self {
    case .network(let transport):
      try await transport.withStream(descriptor: descriptor, options: options, closure)
    case .simulated(let transport):
      try await transport.withStream(descriptor: descriptor, options: options, closure)
    }
  }
}
