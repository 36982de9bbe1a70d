import GRPCCore
import GRPCTransport
import RPC
import RouterServer
import Routing
import ServingProtos
import ServingTypes
import Testing

struct InferenceServiceTests {
  func withClient(
    _ workers: [ScriptedWorker], _ body: @escaping @Sendable (ChannelPool.Client) async throws -> Void
  ) async throws {
    try await RouterHarness.with(workers) { harness in
      let transport = try LibGRPCServerTransport(address: "127.0.0.1:0")
      let server = GRPCServer(transport: transport, services: [InferenceService(router: harness.router)])
      let channels = try ChannelPool()
      try await withThrowingTaskGroup(of: Void.self) { group in
        group.addTask { try await server.serve() }
        let address = ServerAddress(host: "127.0.0.1", port: transport.port)
        try await channels.withClient(of: address, for: .tokens) { try await body($0) }
        server.beginGracefulShutdown()
        try await group.waitForAll()
      }
      channels.close()
    }
  }

  @Test func generates() async throws {
    let worker = try ScriptedWorker("a", script: [.fail(after: 2, .unavailable)])
    try await withClient([worker]) { client in
      var request = Baton_V1_GenerateRequest()
      request.text = "tell me something"
      request.sampling.maxTokens = 5
      request.sampling.seed = 3
      request.explain = true
      let messages = try await Baton_V1_Inference.Client(wrapping: client).generate(request) { response in
        try await response.messages.reduce(into: [Baton_V1_GenerateResponse]()) { $0.append($1) }
      }
      let prompt = try tokenIDs(try #require(messages.first).promptTokenIds, field: "prompt")
      let tokens = messages.flatMap(\.outputs).flatMap(\.tokens).map { TokenID($0.id) }
      #expect(tokens == ScriptedWorker.answer(prompt: prompt, sample: 0, seed: 3, count: 5))
      #expect(messages.first?.model == "bytes" && messages.first?.requestID.isEmpty == false)
      #expect(messages.last?.usage.completionTokens == 5)
      #expect(messages.last?.route.migrations == 1)
      #expect(messages.last?.route.candidates.isEmpty == false)
      #expect(messages.last?.hasTimeline == true)
    }
  }

  /// What a client gives up on is nobody's work any more, on any tier.
  @Test func theClientsDeadlineReachesTheWorker() async throws {
    let worker = try ScriptedWorker("a")
    let start = ContinuousClock.now
    try await withClient([worker]) { client in
      var request = Baton_V1_GenerateRequest()
      request.text = "tell me something"
      request.sampling.maxTokens = 2
      for deadline in [start + .seconds(500), nil] {
        try await withCallDeadline(deadline) {
          try await Baton_V1_Inference.Client(wrapping: client).generate(request) { response in
            for try await _ in response.messages {}
          }
        }
      }
    }
    let deadlines = worker.state.withLock { $0.deadlines }
    #expect(try #require(deadlines[0]) <= start + .seconds(501))
    // The router's own limit stands in for none.
    #expect(try #require(deadlines[1]) > start + .seconds(1000))
  }

  @Test func errorsKeepTheirCodes() async throws {
    try await withClient([try ScriptedWorker("a")]) { client in
      let inference = Baton_V1_Inference.Client(wrapping: client)
      func code(_ request: Baton_V1_GenerateRequest) async -> RPCError.Code? {
        do {
          try await inference.generate(request) { response in for try await _ in response.messages {} }
          return nil
        } catch { return (error as? RPCError)?.code }
      }
      var request = Baton_V1_GenerateRequest()
      #expect(await code(request) == .invalidArgument, "no prompt")
      request.text = "x"
      request.model = "unknown"
      #expect(await code(request) == .notFound)
      request.model = "bytes"
      request.sampling.topP = 7
      #expect(await code(request) == .invalidArgument)
      request.sampling.topP = 1
      request.tokens.ids = [.max]
      #expect(await code(request) == .invalidArgument)
    }
  }

  @Test func tokenizesAndListsModels() async throws {
    try await withClient([]) { client in
      let inference = Baton_V1_Inference.Client(wrapping: client)
      var request = Baton_V1_TokenizeRequest()
      request.text = "ab"
      #expect(try await inference.tokenize(request).ids == [256, 97, 98])
      request.plain = true
      #expect(try await inference.tokenize(request).ids == [97, 98])
      let models = try await inference.listModels(Baton_V1_ListModelsRequest()).models
      #expect(models.map(\.id) == ["bytes"] && models.first?.contextLength == 4096)
    }
  }
}
