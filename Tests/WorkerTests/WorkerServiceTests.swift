import DecodeServer
import Directory
import Engine
import GRPCCore
import GRPCProtobuf
import KVTransfer
import RPC
import ServingProtos
import ServingTestKit
import ServingTypes
import Testing

/// Caches on either side, texts and stops, moves, statistics, draining.
@Suite struct WorkerServiceTests {
  @Test func cachedPrefixesAreNotSentOrComputedAgain() async throws {
    let shared = prompt(96)
    let first = decodeRequest(shared + prompt(20, seed: 1))
    let second = decodeRequest(shared + prompt(40, seed: 2))
    let expected = try await [alone(first), alone(second)]
    try await withWorkers([.prefill, .decode, .decode]) { workers, channels in
      var requests = [first, second]
      for index in requests.indices { requests[index].prefillCandidates = [workers[0].reference] }
      let cold = try await ask(workers[1], requests[0], channels)
      #expect(cold.tokens == expected[0])
      // The same decode worker: its own cache holds the prefix.
      let warm = try await ask(workers[1], requests[1], channels)
      #expect(warm.tokens == expected[1])
      #expect(warm.route.decodeCachedTokens == 96)
      #expect(warm.route.transferredBlocks == 3)
      // Another decode worker: the prefill worker's cache holds it.
      let other = try await ask(workers[2], requests[1], channels)
      #expect(other.tokens == expected[1])
      #expect(other.route.decodeCachedTokens == 0)
      #expect(other.route.prefillCachedTokens >= 96)
      #expect(other.route.computedTokens < 136 - 95)
      #expect(other.last.usage.cachedTokens >= 96)
    }
  }

  /// The router may name prefill workers for a prompt whose beginning another request brings to the decode worker meanwhile.
  @Test func whatIsLittleAfterACachedPrefixIsNotHandedOff() async throws {
    let shared = prompt(96)
    let (first, second) = (decodeRequest(shared + prompt(20, seed: 1)), decodeRequest(shared + prompt(40, seed: 2)))
    let short = decodeRequest(prompt(40, seed: 3))
    let expected = try await [alone(second), alone(short)]
    var decode = WorkerOptions.decode
    decode.decode.localPrefillTokens = 32
    try await withWorkers([.prefill, decode]) { workers, channels in
      var requests = [second, short]
      for index in requests.indices { requests[index].prefillCandidates = [workers[0].reference] }
      _ = try await ask(workers[1], first, channels)
      let warm = try await ask(workers[1], requests[0], channels)
      #expect(warm.tokens == expected[0])
      #expect(warm.route.decodeCachedTokens == 96)
      #expect(warm.route.transferredBlocks == 0)
      #expect(workers[0].record.counts.tokens == 0, "the prefill worker, which lacks the beginning, was asked")
      // As few tokens, with nothing before them, go where the router wants them.
      let cold = try await ask(workers[1], requests[1], channels)
      #expect(cold.tokens == expected[1])
      #expect(cold.route.transferredBlocks == 3)
    }
  }

  @Test func oneTokenEndsRightThere() async throws {
    let request = decodeRequest(prompt(50), maxTokens: 1, n: 2)
    let expected = try await alone(request)
    try await withWorkers([.prefill, .decode]) { workers, channels in
      var request = request
      request.prefillCandidates = [workers[0].reference]
      let answer = try await ask(workers[1], request, channels)
      #expect(answer.tokens == expected)
      #expect(answer.finish == [.length, .length])
      #expect(workers[1].record.counts.tokens == 0, "nothing was decoded")
    }
  }

  @Test func anEndOfGenerationEndsTheText() async throws {
    let plain = decodeRequest(prompt(50))
    let tokens = try await alone(plain)[0]
    for at in [0, 5] {
      let end = tokens[at]
      guard tokens.firstIndex(of: end) == at else { continue }
      let prefill = WorkerOptions(role: .prefill, endOfGeneration: [end])
      let decode = WorkerOptions(role: .decode, endOfGeneration: [end])
      try await withWorkers([prefill, decode]) { workers, channels in
        var request = plain
        request.prefillCandidates = [workers[0].reference]
        let answer = try await ask(workers[1], request, channels)
        #expect(answer.tokens[0] == Array(tokens[...at]))
        #expect(answer.finish == [.stop])
        #expect(answer.text[0] == PlainTokenizer().decode(tokens[..<at]))
      }
    }
  }

  @Test(arguments: [true, false])
  func aStopStringCutsTheText(withHandoff: Bool) async throws {
    let plain = decodeRequest(prompt(50), maxTokens: 40)
    let tokens = try await alone(plain)[0]
    let whole = PlainTokenizer().decode(tokens)
    // A piece that spans several tokens.
    let characters = Array(whole)
    let stop = String(characters[characters.count / 2 - 4..<characters.count / 2 + 4])
    let range = try #require(whole.firstRange(of: stop))
    try await withWorkers([.prefill, .decode]) { workers, channels in
      var request = plain
      request.sampling.stop = [stop]
      if withHandoff { request.prefillCandidates = [workers[0].reference] }
      let answer = try await ask(workers[1], request, channels)
      #expect(answer.text[0] == String(whole[..<range.lowerBound]))
      #expect(answer.finish == [.stop])
      #expect(answer.tokens[0] == Array(tokens.prefix(answer.tokens[0].count)))
      #expect(PlainTokenizer().decode(answer.tokens[0]).contains(stop))
      #expect(!PlainTokenizer().decode(answer.tokens[0].dropLast()).contains(stop))
      #expect(answer.last.usage.completionTokens == UInt32(answer.tokens[0].count))
    }
  }

  /// A request that moves goes on with the next token and the next character.
  @Test(arguments: [1, 2, 3, 7, 19], [1, 2])
  func aMovedRequestContinuesExactly(after count: Int, n: Int) async throws {
    let plain = decodeRequest(prompt(60), maxTokens: 24, n: n, temperature: 0.9)
    let tokens = try await alone(plain)
    try await withWorkers([.prefill, .decode]) { workers, channels in
      let whole = try await ask(workers[1], plain, channels)
      #expect(whole.tokens == tokens)
      var texts = (0..<n).map { _ in SampleText(tokenizer: PlainTokenizer(), stop: [], minTokens: 0) }
      var request = plain
      request.cacheSalt = "moved"
      request.prefillCandidates = [workers[0].reference]
      request.generated = tokens.map { sample in .with { $0.tokens = wireTokens(sample.prefix(count)) } }
      let moved = try await ask(workers[1], request, channels)
      for sample in 0..<n {
        let before = texts[sample].append(tokens[sample].prefix(count).map { GeneratedToken(id: $0) }, finish: nil)
        #expect(moved.tokens[sample] == Array(tokens[sample].dropFirst(count)))
        #expect(before.text + moved.text[sample] == whole.text[sample])
      }
    }
  }

  @Test func aSlowClientGetsEverything() async throws {
    let request = decodeRequest(prompt(50), maxTokens: 400)
    let expected = try await alone(request)
    try await withWorkers([.decode]) { workers, channels in
      let answer = try await ask(workers[0], request, channels) { _ in try await Task.sleep(for: .milliseconds(20)) }
      #expect(answer.tokens == expected)
      #expect(answer.text[0] == PlainTokenizer().decode(expected[0]))
    }
  }

  /// Refused before anything is made for each of the samples.
  @Test func absurdSamplingIsRefused() async throws {
    try await withWorkers([.decode]) { workers, channels in
      var absurd = decodeRequest(prompt(20))
      absurd.sampling.n = .max
      let request = absurd
      let error = await #expect(throws: RPCError.self) {
        try await channels.withClient(of: try ServerAddress(workers[0].server.boundAddress), for: .tokens) { client in
          try await Baton_V1_Decode.Client(wrapping: client).decode(request) { response in
            for try await _ in response.messages {}
          }
        }
      }
      #expect(error?.code == .invalidArgument)
      try await workers[0].expectIdle()
    }
  }

  @Test func aSlowClientGetsEverythingInSmallMessages() async throws {
    let request = decodeRequest(prompt(50), maxTokens: 1200, n: 4)
    let expected = try await alone(request)
    try await withWorkers([.decode]) { workers, channels in
      let most = Lock(0)
      let answer = try await ask(workers[0], request, channels) { message in
        let tokens = message.outputs.reduce(0) { $0 + $1.tokens.count }
        most.withLock { $0 = max($0, tokens) }
        try await Task.sleep(for: .milliseconds(20))
      }
      #expect(answer.tokens == expected)
      #expect(most.withLock { $0 } <= 4096)
      for sample in expected.indices { #expect(answer.text[sample] == PlainTokenizer().decode(expected[sample])) }
    }
  }

  @Test func blocksAreFetchedAndVerify() async throws {
    try await withWorkers([.decode]) { workers, channels in
      let tokens = prompt(100)
      _ = try await ask(workers[0], decodeRequest(tokens), channels)
      let layout = workers[0].engine.layout
      let hashes = BlockHash.chain(tokens: tokens, blockSize: 16, salt: "")
      let wanted = hashes + [BlockHash(high: 1, low: 1)]
      let frames = Lock([BlockFrame]())
      let (requests, say) = AsyncStream<Baton_V1_FetchRequest>.makeStream()
      say.yield(
        .with {
          $0.open = .with {
            $0.layoutDigest = layout.digest
            $0.hashes = wanted.map { .init($0.bytes) }
            $0.firstIndex = 0
            $0.parentHash = .init(BlockHash.root(salt: "", blockSize: 16).bytes)
          }
        })
      try await channels.withClient(of: try ServerAddress(workers[0].server.boundAddress), for: .blocks) { client in
        try await client.bidirectionalStreaming(
          request: StreamingClientRequest { writer in
            for await request in requests { try await writer.write(request) }
          },
          descriptor: Baton_V1_Blocks.Method.Fetch.descriptor,
          serializer: ProtobufSerializer<Baton_V1_FetchRequest>(), deserializer: FetchResponseDeserializer(),
          options: .defaults
        ) { response in
          defer { say.finish() }
          for try await message in response.messages {
            if case .start(let blocks, _) = message {
              #expect(blocks == hashes.count)
              say.yield(.with { $0.credit = .with { $0.blocks = UInt32(blocks) } })
            }
            if case .block(let block) = message {
              let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: layout.blockBytes(), alignment: 16)
              defer { memory.deallocate() }
              #expect(block.write(to: memory) == block.frame.checksum)
              frames.withLock { $0.append(block.frame) }
            }
          }
        }
      }
      #expect(frames.withLock { $0.map(\.hash) } == hashes)
      #expect(frames.withLock { $0.map(\.index) } == Array(hashes.indices))
      #expect(
        frames.withLock { $0.map(\.parentHash) } == [BlockHash.root(salt: "", blockSize: 16)] + hashes.dropLast())
    }
  }

  @Test func aWorkerDescribesItself() async throws {
    try await withWorkers([.decode]) { workers, channels in
      _ = try await ask(workers[0], decodeRequest(prompt(100), maxTokens: 8), channels)
      try await workers[0].expectIdle()
      try await channels.withClient(of: try ServerAddress(workers[0].server.boundAddress), for: .tokens) { client in
        let worker = Baton_V1_Worker.Client(wrapping: client)
        let description = try await worker.describe(.init())
        #expect(description.reference == workers[0].reference)
        #expect(description.role == "decode" && description.blockSize == 16 && description.numBlocks == 512)
        #expect(description.layoutDigest == workers[0].engine.layout.digest)
        #expect(!description.draining)
        let statistics = try await worker.statistics(.with { $0.checkIntegrity = true })
        #expect(statistics.activeBlocks == 0)
        #expect(statistics.promptTokens == 100 && statistics.generatedTokens == 8)
        let health = Grpc_Health_V1_Health.Client(wrapping: client)
        let status = try await health.check(.with { $0.service = "baton.v1.Decode" })
        #expect(status.status == .serving)
      }
      let text = workers[0].metrics.exposition()
      for name in [
        "baton_kv_active_blocks 0", "baton_scheduler_pending 0", "baton_block_reuse_rate", "baton_memory_usage",
        "baton_gpu_mem_usage", "baton_preemptions_total", "baton_copy_on_write_copies_total",
        "baton_transfer_bytes_total", "baton_transfer_seconds_total", "baton_time_to_first_token_seconds_count 1",
        "baton_inter_token_latency_seconds_count", "baton_draft_acceptance_rate", "baton_token_latency_ms",
      ] {
        #expect(text.contains(name), "\(name)")
      }
    }
  }

  @Test func drainingLetsStreamsFinish() async throws {
    var slow = WorkerOptions.decode
    slow.cost = SimulatedExecutor.Cost(step: .milliseconds(3))
    let request = decodeRequest(prompt(50), maxTokens: 60)
    let expected = try await alone(request)
    let directory = InMemoryDirectory()
    let channels = try ChannelPool()
    let worker = try slow.makeWorker(0, channels: channels, directory: directory)
    try await withThrowingTaskGroup(of: Void.self) { group in
      group.addTask { try await worker.server.run() }
      let isDraining = Lock(false)
      let answer = try await ask(worker, request, channels) { _ in
        if isDraining.withLock({ $0 }) { return }
        isDraining.withLock { $0 = true }
        var records = try await directory.workers()
        for _ in 0..<1000 where records.isEmpty {
          try await Task.sleep(for: .milliseconds(5))
          records = try await directory.workers()
        }
        #expect(records.map(\.id) == [worker.server.configuration.id])
        worker.server.beginDraining()
        #expect(!worker.server.isReady)
      }
      #expect(answer.tokens == expected)
      // Ends by itself; what is left of the lease says that nobody should come.
      try await group.waitForAll()
      #expect(try await directory.workers().allSatisfy(\.isDraining))
    }
    channels.close()
  }
}
