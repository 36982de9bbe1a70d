import GRPCCore
import GRPCTransport
import Testing

typealias TestClient = GRPCClient<LibGRPCClientTransport>

/// Runs `body` against a server with the conformance service and checks afterwards that nothing is left under way.
func withServer(
  address: String = "127.0.0.1:0",
  configuration: LibGRPCServerTransport.Configuration = .init(),
  _ body: (LibGRPCServerTransport, ConformanceService) async throws -> Void
) async throws {
  let transport = try LibGRPCServerTransport(address: address, configuration: configuration)
  let service = ConformanceService()
  try await withGRPCServer(transport: transport, services: [service]) { _ in
    try await body(transport, service)
  }
  #expect(transport.callCount == 0)
}

/// Runs `body` with a client of the target.
func withClient(
  to target: String,
  configuration: LibGRPCClientTransport.Configuration = .init(),
  _ body: (TestClient) async throws -> Void
) async throws {
  let transport = try LibGRPCClientTransport(target: target, configuration: configuration)
  try await withGRPCClient(transport: transport) { try await body($0) }
  #expect(transport.callCount == 0)
}

func withPair(
  server: LibGRPCServerTransport.Configuration = .init(),
  client: LibGRPCClientTransport.Configuration = .init(),
  _ body: (TestClient, ConformanceService) async throws -> Void
) async throws {
  try await withServer(configuration: server) { transport, service in
    try await withClient(to: transport.address, configuration: client) { try await body($0, service) }
  }
}

struct UnaryReply: Sendable {
  var message: [UInt8]
  var metadata: Metadata
  var trailing: Metadata
}

extension CallOptions {
  static func timeout(_ duration: Duration) -> CallOptions {
    var options = CallOptions.defaults
    options.timeout = duration
    return options
  }

  static var waiting: CallOptions {
    var options = CallOptions.timeout(.seconds(60))
    options.waitForReady = true
    return options
  }
}

extension GRPCClient {
  func callUnary(
    _ message: [UInt8], metadata: Metadata = [:], method: MethodDescriptor = ConformanceService.unary,
    options: CallOptions = .defaults
  ) async throws -> UnaryReply {
    try await unary(
      request: ClientRequest(message: message, metadata: metadata), descriptor: method, serializer: RawSerializer(),
      deserializer: RawDeserializer(), options: options
    ) { response in
      UnaryReply(
        message: try response.message, metadata: response.metadata, trailing: response.trailingMetadata)
    }
  }

  func callDown(
    count: Int, size: Int, code: Int = 0, method: MethodDescriptor = ConformanceService.down,
    options: CallOptions = .defaults
  ) async throws -> [[UInt8]] {
    try await serverStreaming(
      request: ClientRequest(message: .init(words: [UInt32(clamping: count), UInt32(size), UInt32(code)])),
      descriptor: method, serializer: RawSerializer(), deserializer: RawDeserializer(),
      options: options
    ) { response in
      var messages: [[UInt8]] = []
      for try await message in response.messages { messages.append(message) }
      return messages
    }
  }

  func callUp(_ messages: [[UInt8]], options: CallOptions = .defaults) async throws -> [UInt8] {
    try await clientStreaming(
      request: StreamingClientRequest { writer in try await writer.write(contentsOf: messages) },
      descriptor: ConformanceService.up, serializer: RawSerializer(), deserializer: RawDeserializer(), options: options
    ) { try $0.message }
  }

  /// Sends each message when the echo of the one before has come.
  func callBoth(_ messages: [[UInt8]], options: CallOptions = .defaults) async throws -> [[UInt8]] {
    let (turns, turn) = AsyncStream.makeStream(of: Void.self)
    turn.yield()
    return try await bidirectionalStreaming(
      request: StreamingClientRequest { writer in
        var next = messages.makeIterator()
        for await _ in turns {
          guard let message = next.next() else { break }
          try await writer.write(message)
        }
      },
      descriptor: ConformanceService.both, serializer: RawSerializer(), deserializer: RawDeserializer(),
      options: options
    ) { response in
      var echoes: [[UInt8]] = []
      for try await message in response.messages {
        echoes.append(message)
        turn.yield()
      }
      return echoes
    }
  }
}

extension GRPCClient {
  /// Ends only by cancellation or deadline.
  func hang(options: CallOptions = .defaults, onHead: @escaping @Sendable () -> Void = {}) async throws {
    try await bidirectionalStreaming(
      request: StreamingClientRequest { _ in try await Task.sleep(for: .seconds(3600)) },
      descriptor: ConformanceService.hang, serializer: RawSerializer(), deserializer: RawDeserializer(),
      options: options
    ) { response in
      if case .success = response.accepted { onHead() }
      for try await _ in response.messages {}
    }
  }
}

/// The error that `body` throws, as a status.
func status(of body: () async throws -> Void) async -> RPCError? {
  do {
    try await body()
    return nil
  } catch let error as RPCError {
    return error
  } catch {
    Issue.record("not an RPCError: \(error)")
    return nil
  }
}

/// Waits until `condition` holds, for as long as a loaded machine may need.
func eventually(_ condition: () async throws -> Bool) async throws -> Bool {
  for _ in 0..<3000 {
    if try await condition() { return true }
    try await Task.sleep(for: .milliseconds(10))
  }
  return false
}
