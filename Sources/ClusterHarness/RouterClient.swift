import GRPCCore
import GRPCTransport
import RPC
import ServingProtos
import ServingTypes

/// A client of a router's, or of a decode worker's, gRPC service.
public struct RouterClient: Sendable {
  private let client: GRPCClient<LibGRPCClientTransport>
  /// Runs tasks where answers arrive, which saves a thread's waking for each message.
  public let executor: any TaskExecutor

  /// Connects to an address and runs `body` with the client.
  public static func with<Result: Sendable>(
    _ address: String, _ body: @Sendable @escaping (RouterClient) async throws -> Result
  ) async throws -> Result {
    var configuration = LibGRPCClientTransport.Configuration()
    configuration.waitForReady = true
    let transport = try LibGRPCClientTransport(target: address, configuration: configuration)
    return try await withGRPCClient(transport: transport) { client in
      try await body(RouterClient(client: client, executor: transport.queue.executor))
    }
  }

  /// Has a router generate.
  public func generate(_ request: Baton_V1_GenerateRequest, timeout: Duration = .seconds(120)) async throws
    -> ClientAnswer
  {
    let start = ContinuousClock.now
    return try await withCallDeadline(start + timeout) {
      try await Baton_V1_Inference.Client(wrapping: client).generate(request) { response in
        try await ClientAnswer(response.messages, since: start)
      }
    }
  }

  /// Has a decode worker generate without a router.
  public func decode(_ request: Baton_V1_DecodeRequest, timeout: Duration = .seconds(120)) async throws -> ClientAnswer
  {
    let start = ContinuousClock.now
    return try await withCallDeadline(start + timeout) {
      try await Baton_V1_Decode.Client(wrapping: client).decode(request) { response in
        try await ClientAnswer(response.messages, since: start)
      }
    }
  }

  /// What a worker counts.
  public func statistics(checksIntegrity: Bool = false) async throws -> Baton_V1_WorkerStatistics {
    try await Baton_V1_Worker.Client(wrapping: client).statistics(.with { $0.checkIntegrity = checksIntegrity })
  }

  /// Who a worker is.
  public func describe() async throws -> Baton_V1_WorkerDescription {
    try await Baton_V1_Worker.Client(wrapping: client).describe(Baton_V1_DescribeRequest())
  }
}
