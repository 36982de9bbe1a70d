import DecodeServer
import Directory
import GRPCCore
import GRPCProtobuf
import KVTransfer
import RPC
import Routing
import ServingProtos
import ServingTestKit
import ServingTypes
import Testing

/// A worker that is asked to leave.
@Suite struct DrainTests {
  private static func slow(_ role: WorkerRole = .decode, drainTimeout: Duration) -> WorkerOptions {
    var options = WorkerOptions(role: role)
    options.cost = SimulatedExecutor.Cost(step: .milliseconds(4))
    options.drainTimeout = drainTimeout
    return options
  }

  /// What would not end in time goes on elsewhere, and its blocks are lent meanwhile.
  @Test(arguments: [1, 3])
  func streamsThatTakeTooLongAreMoved(n: Int) async throws {
    let request = GenerationRequest(
      prompt: .tokens(prompt(50)), sampling: SamplingParameters(temperature: 0.8, seed: 3, maxTokens: 900, n: n))
    let expected = try await alone(decodeRequest(prompt(50), maxTokens: 900, n: n, temperature: 0.8, seed: 3))
    let options = [Self.slow(drainTimeout: .seconds(1)), Self.slow(drainTimeout: .seconds(1))]
    try await RoutedWorkers.with(options) { routed in
      let drained = Lock<TestWorker?>(nil)
      let answer = try await routed.answer(request) { tokens in
        guard tokens >= 5, drained.withLock({ $0 == nil }) else { return }
        let worker = try #require(routed.workers.first { $0.engine.statistics.runningSequences > 0 })
        drained.withLock { $0 = worker }
        worker.server.beginDraining()
        #expect(!worker.server.isReady && worker.server.unreadyReason == "draining" && worker.server.isLive)
      }
      #expect(answer.tokens == expected)
      #expect(answer.migrations == 1)
      let text = routed.metrics.exposition()
      #expect(text.contains("baton_router_lost_streams_total 0"), "it was cut, not given up")
    }
  }

  @Test func aDrainingWorkerRefusesRequestsAndLendsBlocks() async throws {
    let directory = InMemoryDirectory()
    let channels = try ChannelPool()
    let worker = try Self.slow(.both, drainTimeout: .seconds(30)).makeWorker(
      0, channels: channels, directory: directory)
    try await withThrowingTaskGroup(of: Void.self) { group in
      group.addTask { try await worker.server.run() }
      let isDraining = Lock(false)
      let answer = try await ask(worker, decodeRequest(prompt(64), maxTokens: 100), channels) { _ in
        if isDraining.withLock({ $0 }) { return }
        isDraining.withLock { $0 = true }
        worker.server.beginDraining()
        let refusal = await #expect(throws: RPCError.self) {
          try await ask(worker, decodeRequest(prompt(8)), channels)
        }
        #expect(refusal?.code == .aborted)
        let prefill = await #expect(throws: RPCError.self) {
          try await RawPrefill.run(worker, channels, prefillOpen(prompt(160), worker)) { _, _ in true }
        }
        #expect(prefill?.code == .aborted)
        #expect(try await Self.lentBlocks(of: prompt(64), worker, channels) == 4)
        try await channels.withClient(of: try ServerAddress(worker.server.boundAddress), for: .tokens) { client in
          let health = Grpc_Health_V1_Health.Client(wrapping: client)
          let whole = try await health.check(.with { $0.service = "" }).status
          let life = try await health.check(.with { $0.service = HealthService.liveness }).status
          #expect(whole == .notServing && life == .serving)
        }
        for _ in 0..<12_000 where try await directory.workers().contains(where: { !$0.isDraining }) {
          try await Task.sleep(for: .milliseconds(5))
        }
        #expect(try await directory.workers().map(\.isDraining) == [true])
      }
      #expect(answer.tokens[0].count == 100, "what ran is finished")
      // Ends by itself, and does not use up its time.
      try await group.waitForAll()
    }
    channels.close()
  }

  /// Routers name the worker that leaves as a holder, and whoever takes its place fetches from it.
  @Test func aPrefixIsFetchedFromAWorkerThatDrains() async throws {
    var options = FetchEndToEndTests.options(.decode)
    options.cost.step = .milliseconds(4)
    let expected = try await alone(decodeRequest(prompt(200)))
    let request = GenerationRequest(
      prompt: .tokens(prompt(200)), sampling: SamplingParameters(temperature: 0, seed: 7, maxTokens: 24), explain: true)
    // Has the worker stay while the other request comes and goes.
    var long = request
    long.sampling.maxTokens = 3000
    try await RoutedWorkers.with([options, options]) { [long] routed in
      await #expect(throws: CancellationError.self) {
        try await routed.answer(long) { _ in
          let (leaving, staying) =
            routed.workers[0].engine.statistics.runningSequences > 0
            ? (routed.workers[0], routed.workers[1]) : (routed.workers[1], routed.workers[0])
          try await eventually("never announced") { try await routed.announcedBlocks(of: prompt(200), leaving) == 12 }
          leaving.server.beginDraining()
          await eventually("not seen to drain") {
            routed.router.workers.contains { $0.record.id == leaving.server.reference.id && $0.record.isDraining }
          }
          let answer = try await routed.answer(request)
          #expect(answer.tokens == expected)
          let route = try #require(answer.route)
          #expect(route.decode == staying.server.reference && route.fetchedBlocks == 12 && route.computedTokens == 8)
          #expect(staying.engine.statistics.fetches.completed == 1 && leaving.engine.statistics.blocksSent == 12)
          throw CancellationError()
        }
      }
      await eventually("blocks are held") { routed.workers.allSatisfy { $0.engine.statistics.activeBlocks == 0 } }
    }
  }

  /// Blocks that a fetch finds.
  private static func lentBlocks(
    of tokens: [TokenID], _ worker: TestWorker, _ channels: ChannelPool
  ) async throws -> Int {
    let (requests, say) = AsyncStream<Baton_V1_FetchRequest>.makeStream()
    say.yield(
      .with {
        $0.open = .with {
          $0.layoutDigest = worker.engine.layout.digest
          $0.hashes = BlockHash.chain(tokens: tokens, blockSize: 16, salt: "").map { .init($0.bytes) }
        }
      })
    return try await channels.withClient(of: try ServerAddress(worker.server.boundAddress), for: .blocks) { client in
      try await client.bidirectionalStreaming(
        request: StreamingClientRequest { writer in
          for await request in requests { try await writer.write(request) }
        },
        descriptor: Baton_V1_Blocks.Method.Fetch.descriptor,
        serializer: ProtobufSerializer<Baton_V1_FetchRequest>(), deserializer: FetchResponseDeserializer(),
        options: .defaults
      ) { response in
        defer { say.finish() }
        var count = 0
        for try await message in response.messages {
          if case .start(let blocks, _) = message {
            say.yield(.with { $0.credit = .with { $0.blocks = UInt32(blocks) } })
          }
          if case .block = message {
            count += 1
            say.yield(.with { $0.ack = .with { $0.blocks = UInt32(count) } })
          }
        }
        return count
      }
    }
  }
}
