import Engine
import GRPCCore
import KVTransfer
import RPC
import ServingProtos
import ServingTypes
import Testing

/// Whatever a prefill worker does wrong, the request ends with the right tokens, and nothing wrong is ever cached.
@Suite struct HandoffFailureTests {
  static let decode = decode(stallTimeout: .seconds(60))

  static func decode(stallTimeout: Duration) -> WorkerOptions {
    var options = WorkerOptions.decode
    options.decode.connectTimeout = .seconds(60)
    options.decode.stallTimeout = stallTimeout
    return options
  }

  static let damage: [Fault] = [
    .flippedPayload(block: 0), .flippedPayload(block: 3), .flippedPayload(block: 6), .wrongHash(block: 1),
    .wrongParent(block: 2), .wrongIndex(block: 2), .wrongTokenCount(block: 1), .wrongTokenCount(block: 6),
    .shortPayload(block: 2), .notProtobuf(block: 1), .duplicated,
  ]
  static let ends: [Fault] =
    (0..<9).flatMap { [.diesAfter(messages: $0), .closesAfter(messages: $0)] }
    + [.stallsAfter(messages: 1), .stallsAfter(messages: 4)]

  /// Then the same prompt again, which finds whatever was cached.
  @Test(arguments: damage + ends)
  func aFaultyWorkerCostsTimeOnly(fault: Fault) async throws {
    let request = decodeRequest(prompt(100))
    let expected = try await alone(request)
    var decode = Self.decode
    if case .stallsAfter = fault { decode = Self.decode(stallTimeout: .milliseconds(300)) }
    try await withFaultyPrefill(fault) { [decode] faulty in
      try await withWorkers([decode]) { workers, channels in
        for attempt in 0..<2 {
          var request = request
          request.prefillCandidates = attempt == 0 ? [faulty] : []
          let answer = try await ask(workers[0], request, channels)
          #expect(answer.tokens == expected, "attempt \(attempt)")
          #expect(!answer.route.hasPrefill)
        }
        let transfers = workers[0].server.transfers.snapshot
        #expect(transfers.failedReceives == 1)
        #expect(transfers.fallbacks == 1)
      }
    }
  }

  /// What the faulty worker delivered rightly stays, and the next candidate sends the rest.
  @Test(arguments: [Fault.flippedPayload(block: 3), .diesAfter(messages: 4), .wrongIndex(block: 0)])
  func theNextCandidateContinues(fault: Fault) async throws {
    let request = decodeRequest(prompt(100))
    let expected = try await alone(request)
    try await withFaultyPrefill(fault) { faulty in
      try await withWorkers([.prefill, Self.decode]) { workers, channels in
        var request = request
        request.prefillCandidates = [faulty, workers[0].reference]
        let answer = try await ask(workers[1], request, channels)
        #expect(answer.tokens == expected)
        #expect(answer.route.prefill == workers[0].reference)
        #expect(answer.route.transferredBlocks == 7, "no block came twice")
        #expect(workers[1].engine.statistics.computedPromptTokens == 0)
      }
    }
  }

  /// The receiver reads one block at a time, so flow control holds back what nobody asked for.
  @Test func aSenderThatIgnoresCreditIsHarmless() async throws {
    let request = decodeRequest(prompt(1000))
    let expected = try await alone(request)
    try await withFaultyPrefill(.ignoresCredit) { faulty in
      try await withWorkers([Self.decode]) { workers, channels in
        var request = request
        request.prefillCandidates = [faulty]
        let answer = try await ask(workers[0], request, channels)
        #expect(answer.tokens == expected)
      }
    }
  }

  @Test func nobodyAtTheAddress() async throws {
    let request = decodeRequest(prompt(100))
    let expected = try await alone(request)
    try await withWorkers([.prefill, Self.decode]) { workers, channels in
      let nobody = Baton_V1_WorkerReference.with {
        $0.id = "nobody"
        $0.address = "127.0.0.1:1"
      }
      var request = request
      request.prefillCandidates = [nobody, nobody, nobody, workers[0].reference]
      let early = Lock([String]())
      let answer = try await ask(workers[1], request, channels) { message in
        if message.outputs.isEmpty, !message.hasRoute {
          early.withLock { $0 += message.prefillFailures.map(\.worker.id) }
        }
      }
      #expect(answer.tokens == expected)
      #expect(!answer.route.hasPrefill, "three candidates are tried at most")
      #expect(early.withLock { $0 } == ["nobody", "nobody", "nobody"], "the router hears of it before the tokens")
      #expect(answer.route.prefillFailures.map(\.code) == [14, 14, 14], "UNAVAILABLE")
      #expect(answer.route.prefillFailures.allSatisfy { !$0.reason.isEmpty })
      request.prefillCandidates = [nobody, workers[0].reference]
      request.cacheSalt = "other"
      #expect(try await ask(workers[1], request, channels).route.prefill == workers[0].reference)
    }
  }

  /// Its connection is open, but nobody is there: nobody waits for the stall's time.
  @Test(arguments: [1, 4])
  func aWorkerThatIsSilentAndDeadIsLeftSoon(messages: Int) async throws {
    let request = decodeRequest(prompt(100))
    let expected = try await alone(request)
    var decode = Self.decode(stallTimeout: .seconds(600))
    decode.decode.queueTimeout = .seconds(600)
    decode.decode.probeAfter = .milliseconds(100)
    let health = HealthService()
    health.set(.notServing, for: HealthService.liveness)
    try await withFaultyPrefill(.stallsAfter(messages: messages), health: health) { [decode] faulty in
      try await withWorkers([decode]) { workers, channels in
        var request = request
        request.prefillCandidates = [faulty]
        let answer = try await ask(workers[0], request, channels)
        #expect(answer.tokens == expected)
        #expect(answer.route.prefillFailures.map(\.code) == [14])
      }
    }
  }

  @Test func workersOfAnotherModelAreRefusedByName() async throws {
    let other = WorkerOptions(role: .prefill, model: "another")
    let request = decodeRequest(prompt(100))
    let expected = try await alone(request)
    try await withWorkers([other, Self.decode]) { workers, channels in
      var request = request
      request.prefillCandidates = [workers[0].reference]
      let answer = try await ask(workers[1], request, channels)
      #expect(answer.tokens == expected)
      #expect(!answer.route.hasPrefill)
      let error = await refusal(of: workers[0], channels) { open in
        open.layoutDigest = workers[1].engine.layout.digest
        open.layout = workers[1].engine.layout.description
      }
      #expect(error?.code == .failedPrecondition)
      #expect(error?.message.contains("model simulated") == true, "\(error?.message ?? "")")
      #expect(error?.message.contains("model another") == true, "\(error?.message ?? "")")
    }
  }

  @Test func anotherIncarnationIsRefused() async throws {
    let request = decodeRequest(prompt(100))
    let expected = try await alone(request)
    try await withWorkers([.prefill, Self.decode]) { workers, channels in
      var request = request
      var reference = workers[0].reference
      reference.incarnation &+= 1
      let stale = reference
      request.prefillCandidates = [stale]
      let answer = try await ask(workers[1], request, channels)
      #expect(answer.tokens == expected)
      #expect(!answer.route.hasPrefill)
      let error = await refusal(of: workers[0], channels) { $0.expectedIncarnation = stale.incarnation }
      #expect(error?.code == .failedPrecondition)
      request.expectedIncarnation = workers[1].reference.incarnation &+ 1
      do {
        _ = try await ask(workers[1], request, channels)
        Issue.record("answered")
      } catch let error as RPCError {
        #expect(error.code == .failedPrecondition)
      }
    }
  }

  @Test func invalidRequestsAreRefusedAtOnce() async throws {
    try await withWorkers([.prefill, Self.decode]) { workers, channels in
      func code(_ change: (inout Baton_V1_DecodeRequest) -> Void) async -> RPCError.Code? {
        var request = decodeRequest(prompt(40), prefill: [workers[0].reference])
        change(&request)
        do {
          _ = try await ask(workers[1], request, channels)
          return nil
        } catch {
          return (error as? RPCError)?.code
        }
      }
      #expect(await code { $0.promptTokens = [] } == .invalidArgument)
      #expect(await code { $0.promptTokens = [512] } == .invalidArgument)
      #expect(await code { $0.promptTokens = [.max] } == .invalidArgument)
      #expect(await code { $0.promptTokens = wireTokens(prompt(5000)) } == .invalidArgument)
      #expect(await code { $0.sampling.topP = .nan } == .invalidArgument)
      #expect(await code { $0.sampling.n = 1000 } == .invalidArgument)
      #expect(await code { $0.model = "unknown" } == .notFound)
      #expect(await code { $0.generated = [.init(), .init()] } == .invalidArgument)
      #expect(await code { $0.prefillCandidates[0].address = "" } == .invalidArgument)
      #expect(await refusal(of: workers[0], channels) { $0.heldBlocks = 4 }?.code == .invalidArgument)
      #expect(await refusal(of: workers[0], channels) { $0.promptTokens = [] }?.code == .invalidArgument)
      #expect(await refusal(of: workers[0], channels) { $0.model = "unknown" }?.code == .notFound)
    }
  }

  /// The status of a `Prefill` call whose `open` was changed.
  private func refusal(
    of worker: TestWorker, _ channels: ChannelPool, _ change: @Sendable (inout Baton_V1_PrefillOpen) -> Void
  ) async -> RPCError? {
    var open = prefillOpen(prompt(40), worker)
    change(&open)
    do {
      _ = try await RawPrefill.run(worker, channels, open) { _, _ in true }
      return nil
    } catch {
      return error as? RPCError
    }
  }
}
