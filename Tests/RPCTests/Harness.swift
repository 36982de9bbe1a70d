import GRPCCore
import GRPCProtobuf
import GRPCTransport
import RPC
import ServingProtos
import Testing

typealias Client = GRPCClient<LibGRPCClientTransport>

func withServer(
  _ services: [any RegistrableRPCService], interceptors: [any ServerInterceptor] = [],
  _ body: (LibGRPCServerTransport) async throws -> Void
) async throws {
  let transport = try LibGRPCServerTransport(address: "127.0.0.1:0")
  try await withGRPCServer(transport: transport, services: services, interceptors: interceptors) { _ in
    try await body(transport)
  }
}

func withClient(
  to target: String, interceptors: [any ClientInterceptor] = [], _ body: (Client) async throws -> Void
) async throws {
  let transport = try LibGRPCClientTransport(target: target)
  try await withGRPCClient(transport: transport, interceptors: interceptors) { try await body($0) }
}

func code(of body: () async throws -> Void) async -> RPCError.Code? {
  do {
    try await body()
    return nil
  } catch let error as RPCError {
    return error.code
  } catch {
    Issue.record("not an RPCError: \(error)")
    return nil
  }
}
