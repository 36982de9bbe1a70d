import GRPCCore
import GRPCTransport
import Observability
import RPC
import ServingProtos
import ServingTypes
import Testing

/// A trace goes from call to call, into streams as well.
struct TraceInterceptorTests {
  /// Says in which trace it was called.
  private struct Service: Grpc_Health_V1_Health.SimpleServiceProtocol {
    let seen = Lock([TraceContext?]())

    func check(
      request: Grpc_Health_V1_HealthCheckRequest, context: ServerContext
    ) async throws -> Grpc_Health_V1_HealthCheckResponse {
      seen.withLock { $0.append(TraceContext.current) }
      return .with { $0.status = .serving }
    }

    func watch(
      request: Grpc_Health_V1_HealthCheckRequest, response: RPCWriter<Grpc_Health_V1_HealthCheckResponse>,
      context: ServerContext
    ) async throws {
      try await response.write(.with { $0.status = .serving })
      seen.withLock { $0.append(TraceContext.current) }
    }
  }

  private func call(metadata: Metadata = [:], trace: TraceContext?) async throws -> [TraceContext?] {
    let service = Service()
    let transport = try LibGRPCServerTransport(address: "127.0.0.1:0")
    let server = GRPCServer(transport: transport, services: [service], interceptors: [TraceInterceptor()])
    let channels = try ChannelPool()
    try await withThrowingTaskGroup(of: Void.self) { group in
      group.addTask { try await server.serve() }
      try await TraceContext.$current.withValue(trace) {
        try await channels.withClient(of: ServerAddress(host: "127.0.0.1", port: transport.port), for: .tokens) {
          let client = Grpc_Health_V1_Health.Client(wrapping: $0)
          _ = try await client.check(.init(), metadata: metadata)
          try await client.watch(.init(), metadata: metadata) { response in
            for try await _ in response.messages {}
          }
        }
      }
      server.beginGracefulShutdown()
      try await group.waitForAll()
    }
    channels.close()
    return service.seen.withLock { $0 }
  }

  @Test func aCallIsAChildOfItsCaller() async throws {
    let trace = TraceContext.random(isSampled: true)
    for seen in try await call(trace: trace) {
      #expect(seen?.traceID == trace.traceID && seen?.isSampled == true)
      #expect(seen?.spanID != trace.spanID)
    }
  }

  @Test func aForeignHeaderIsTaken() async throws {
    let header = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    for seen in try await call(metadata: ["traceparent": .string(header)], trace: nil) {
      #expect(seen?.traceparent == header)
    }
  }

  @Test(arguments: ["", "00-zz", "00-00000000000000000000000000000000-00f067aa0ba902b7-01"])
  func nonsenseIsNoTrace(_ header: String) async throws {
    #expect(try await call(metadata: ["traceparent": .string(header)], trace: nil) == [nil, nil])
    #expect(try await call(trace: nil) == [nil, nil])
  }
}
