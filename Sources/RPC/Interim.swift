import GRPCCore
import GRPCTransport
import ServingTypes

extension ServingError: RPCErrorConvertible {
  public var rpcErrorCode: RPCError.Code {
    switch code {
    case .cancelled: .cancelled
    case .invalidArgument: .invalidArgument
    case .deadlineExceeded: .deadlineExceeded
    case .notFound: .notFound
    case .permissionDenied: .permissionDenied
    case .resourceExhausted: .resourceExhausted
    case .failedPrecondition: .failedPrecondition
    case .aborted: .aborted
    case .unimplemented: .unimplemented
    case .internalError: .internalError
    case .unavailable: .unavailable
    case .dataLoss: .dataLoss
    case .unauthenticated: .unauthenticated
    }
  }
  public var rpcErrorMessage: String { message }
}

public final class ChannelPool: Sendable {
  private let clients = Lock([String: GRPCClient<LibGRPCClientTransport>]())
  public init() {}
  public func withBlocksClient<Result: Sendable>(
    _ address: String, _ body: (GRPCClient<LibGRPCClientTransport>) async throws -> Result
  ) async throws -> Result {
    let new = GRPCClient(transport: try LibGRPCClientTransport(target: address))
    let client = clients.withLock { clients in
      if let old = clients[address] { return old }
      clients[address] = new
      return new
    }
    return try await body(client)
  }
}
