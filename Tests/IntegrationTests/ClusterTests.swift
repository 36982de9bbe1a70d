import ClusterHarness
import Foundation
import GRPCCore
import ServingProtos
import ServingTypes
import Testing

/// Router, prefill, decode and Redis as real processes with a real model.
@Suite(.serialized, .enabled(if: TestFiles.canRunClusters, "needs baton, SmolLM2 and redis-server"))
struct ClusterTests {
  /// What one process, without any reuse, speculation or company, answers.
  func expected(_ requests: [Baton_V1_GenerateRequest], arguments: [String] = []) async throws -> [Answer] {
    try await LocalProcesses.run { processes in
      let plain = ["--no-enable-prefix-caching", "--no-enable-spec-decode"]
      let server = try await processes.serve(arguments: plain + arguments)
      return try await server.withClient { client in
        var answers: [Answer] = []
        for request in requests { answers.append(try await LocalProcess.generate(request, over: client)) }
        return answers
      }
    }
  }

  func concurrently(
    _ requests: [Baton_V1_GenerateRequest], on worker: LocalProcess
  ) async throws -> [Answer] {
    try await worker.withClient { client in
      try await withThrowingTaskGroup(of: (Int, Answer).self) { group in
        for (index, request) in requests.enumerated() {
          group.addTask { (index, try await LocalProcess.generate(request, over: client)) }
        }
        var answers = [Answer](repeating: Answer(), count: requests.count)
        for try await (index, answer) in group { answers[index] = answer }
        return answers
      }
    }
  }

  func expectEqual(_ answers: [Answer], _ expected: [Answer]) {
    for (index, pair) in zip(answers, expected).enumerated() {
      #expect(
        pair.0.agrees(with: pair.1),
        "request \(index): \(pair.0.tokens) '\(pair.0.text)' is not \(pair.1.tokens) '\(pair.1.text)'")
    }
  }

  @Test func fiftyConcurrentRequestsEqualThoseOfOneProcess() async throws {
    let requests = Prompts.sharing(50, groups: 5, maxTokens: 12)
    let expected = try await expected(requests)
    try await Cluster.run(.smollm2()) { cluster in
      let answers = try await concurrently(requests, on: cluster.router)
      expectEqual(answers, expected)
      #expect(answers.contains { $0.route.transferredBlocks > 0 }, "no blocks were handed over")
      try await cluster.expectNoBlocksInUse()
      // Again, now that the caches are warm.
      let again = try await concurrently(Array(requests.prefix(10)), on: cluster.router)
      expectEqual(again, Array(expected.prefix(10)))
      #expect(again.contains { $0.usage.cachedTokens > 0 }, "nothing was reused")
      try await cluster.expectNoBlocksInUse()
    }
  }

  /// To read a text says of its tokens what generating them said; and so does every worker, by gRPC and by HTTP.
  @Test func logprobsOfAPromptAreThoseOfGeneratingIt() async throws {
    try await Cluster.run(.smollm2(prefill: 1, decode: 2)) { cluster in
      // " Paris" after "The capital of France is" has -0.264 in Tests/Golden/smollm2.json.
      var known = Baton_V1_GenerateRequest()
      known.tokens.ids = [504, 3575, 282, 4649, 314, 7042]
      known.sampling = .with {
        $0.temperature = 0
        $0.maxTokens = 1
        $0.promptLogprobs = 1
      }
      let paris = try #require(try await cluster.router.generate(known).promptLogprobs.last)
      #expect(paris.id == 7042 && abs(paris.logprob + 0.264) < 0.1 && paris.top.map(\.token) == [7042])

      var request = Prompts.greedy(Prompts.words(300, seed: 3), maxTokens: 24)
      request.sampling.logprobs = 0
      let generated = try await cluster.router.generate(request)
      #expect(generated.route.hasPrefill && generated.promptLogprobs.isEmpty)
      var reading = request
      reading.sampling.promptLogprobs = 2
      let prompt = try await cluster.router.generate(reading)
      #expect(prompt.tokens == generated.tokens && !prompt.route.hasPrefill)
      let ids = try await promptIDs(request, cluster)
      #expect(prompt.promptLogprobs.map(\.id) == Array(ids.dropFirst()))

      reading.tokens.ids = ids + generated.tokens
      reading.sampling.maxTokens = 1
      let whole = try await cluster.router.generate(reading)
      #expect(whole.promptLogprobs.suffix(24).map(\.logprob) == generated.logprobs)
      #expect(Array(whole.promptLogprobs.prefix(ids.count - 1)) == prompt.promptLogprobs)

      let body: [String: Any] = [
        "prompt": (ids + generated.tokens).map(Int.init), "echo": true, "logprobs": 0, "max_tokens": 0,
        "prompt_logprobs": 0,
      ]
      let reply = try await cluster.router.post("/v1/completions", JSONSerialization.data(withJSONObject: body))
      let object = try #require(try JSONSerialization.jsonObject(with: Data(reply.body.utf8)) as? [String: Any])
      let choice = try #require((object["choices"] as? [[String: Any]])?.first, "\(reply.body)")
      let logprobs = try #require((choice["logprobs"] as? [String: Any])?["token_logprobs"] as? [Any])
      #expect(logprobs.count == ids.count + 24 && logprobs[0] is NSNull)
      let values = logprobs.compactMap { ($0 as? Double).map { Float($0) } }
      #expect(values == whole.promptLogprobs.map(\.logprob))
      #expect((choice["prompt_logprobs"] as? [Any])?.count == logprobs.count)
      #expect((choice["text"] as? String)?.hasSuffix(generated.text) == true)
      try await cluster.expectNoBlocksInUse()
    }
  }

  private func promptIDs(_ request: Baton_V1_GenerateRequest, _ cluster: Cluster) async throws -> [UInt32] {
    try await cluster.router.withClient { client in
      try await Baton_V1_Inference.Client(wrapping: client).tokenize(.with { $0.text = request.text }).ids
    }
  }

  @Test func sameTokensInEveryConfiguration() async throws {
    let requests = Prompts.sharing(6, groups: 2, maxTokens: 16)
    let expected = try await expected(requests)
    for arguments in [
      ["--prefill-chunk-size", "7", "--handoff-chunk-size", "7"],
      ["--prefill-chunk-size", "64", "--no-enable-prefix-caching"],
      ["--prefill-chunk-size", "1024", "--no-enable-spec-decode"],
    ] {
      try await Cluster.run(.smollm2(prefill: 1, decode: 1, arguments: arguments)) { cluster in
        expectEqual(try await concurrently(requests, on: cluster.router), expected)
        try await cluster.expectNoBlocksInUse()
      }
      try await LocalProcesses.run { processes in
        let server = try await processes.serve(arguments: arguments)
        expectEqual(try await concurrently(requests, on: server), expected)
      }
    }
  }

  @Test func aPrefillWorkerKilledMidHandoffCostsNothingButTime() async throws {
    let request = Prompts.greedy(Prompts.words(1500, seed: 7), maxTokens: 16)
    let expected = try await expected([request])
    try await Cluster.run(.smollm2(arguments: ["--handoff-chunk-size", "32"])) { cluster in
      async let pending = cluster.router.generate(request)
      var killed = ""
      try await waitUntil("a prefill worker is sending") {
        for worker in cluster.prefill {
          let statistics = try await worker.statistics()
          if statistics.blocksSent > 0, statistics.runningSequences > 0 {
            worker.kill()
            killed = worker.grpc
            return true
          }
        }
        return false
      }
      let answer = try await pending
      expectEqual([answer], expected)
      #expect(answer.route.hasDecode && answer.route.prefill.address != killed, "the hand-off was over before the kill")
      try await cluster.expectNoBlocksInUse()
    }
  }

  @Test func aDecodeWorkerKilledMidStreamCostsNothingButTime() async throws {
    let request = Prompts.greedy(Prompts.words(200, seed: 8), maxTokens: 96)
    let expected = try await expected([request])
    try await Cluster.run(.smollm2()) { cluster in
      let isStreaming = Lock(false)
      async let answer = cluster.router.generate(request) { tokens in
        if tokens >= 8 { isStreaming.withLock { $0 = true } }
        return true
      }
      try await waitUntil("the generating worker is killed") {
        guard isStreaming.withLock({ $0 }) else { return false }
        for worker in cluster.decode where try await worker.statistics().runningSequences > 0 {
          worker.kill()
          return true
        }
        return false
      }
      let moved = try await answer
      expectEqual([moved], expected)
      #expect(moved.route.migrations == 1)
      try await cluster.expectNoBlocksInUse()
    }
  }

  @Test func withoutRedisRequestsStillEndRight() async throws {
    let requests = Prompts.sharing(12, groups: 3, maxTokens: 12)
    let expected = try await expected(requests)
    try await Cluster.run(.smollm2()) { cluster in
      expectEqual(try await concurrently(Array(requests.prefix(4)), on: cluster.router), Array(expected.prefix(4)))
      cluster.redis.kill()
      expectEqual(try await concurrently(requests, on: cluster.router), expected)
      try await cluster.expectNoBlocksInUse()
    }
  }

  @Test func cancelledClientsLeaveNothingBehind() async throws {
    let requests = Prompts.sharing(20, groups: 4, maxTokens: 200)
    try await Cluster.run(.smollm2()) { cluster in
      try await cluster.router.withClient { client in
        await withTaskGroup(of: Void.self) { group in
          for (index, request) in requests.enumerated() {
            group.addTask {
              if index % 2 == 0 {
                // Breaks off after some tokens.
                _ = try? await LocalProcess.generate(request, over: client) { $0 < index * 3 }
              } else {
                // Is cancelled at some moment, before or after the first token.
                await withTaskGroup(of: Void.self) { race in
                  race.addTask { _ = try? await LocalProcess.generate(request, over: client) }
                  race.addTask { try? await Task.sleep(for: .milliseconds(37 * index)) }
                  await race.next()
                  race.cancelAll()
                }
              }
            }
          }
        }
      }
      try await cluster.expectNoBlocksInUse()
    }
  }

  @Test func badInputIsRefusedClearlyAndNothingLeaks() async throws {
    struct Case {
      var name: String
      var code: RPCError.Code
      var words: String
      var change: (inout Baton_V1_GenerateRequest) -> Void
    }
    let cases: [Case] = [
      Case(name: "empty prompt", code: .invalidArgument, words: "prompt") { $0.text = "" },
      Case(name: "no prompt", code: .invalidArgument, words: "prompt") { $0.prompt = nil },
      Case(name: "no tokens", code: .invalidArgument, words: "prompt") { $0.tokens = .init() },
      Case(name: "too long", code: .invalidArgument, words: "8192") {
        $0.tokens.ids = .init(repeating: 5, count: 8192)
      },
      Case(name: "token out of range", code: .invalidArgument, words: "49152") { $0.tokens.ids = [1, 49_152] },
      Case(name: "huge token", code: .invalidArgument, words: "") { $0.tokens.ids = [1, .max] },
      Case(name: "unknown model", code: .notFound, words: "smollm2") { $0.model = "gpt-7" },
      Case(name: "negative temperature", code: .invalidArgument, words: "temperature") { $0.sampling.temperature = -1 },
      Case(name: "temperature not a number", code: .invalidArgument, words: "temperature") {
        $0.sampling.temperature = .nan
      },
      Case(name: "top_p", code: .invalidArgument, words: "top_p") { $0.sampling.topP = 1.5 },
      Case(name: "n", code: .invalidArgument, words: "n is") { $0.sampling.n = 1000 },
      Case(name: "logprobs", code: .invalidArgument, words: "logprobs") { $0.sampling.logprobs = 1000 },
      Case(name: "chat role", code: .invalidArgument, words: "role") {
        $0.chat.messages = [.with { $0.role = "robot" }]
      },
    ]
    try await Cluster.run(.smollm2(prefill: 1, decode: 1)) { cluster in
      for each in cases {
        var request = Prompts.greedy("Hello there", maxTokens: 4)
        each.change(&request)
        do {
          let answer = try await cluster.router.generate(request)
          Issue.record("\(each.name): answered \(answer.tokens)")
        } catch let error as RPCError {
          #expect(error.code == each.code, "\(each.name): \(error)")
          #expect(each.words.isEmpty || error.message.contains(each.words), "\(each.name): \(error.message)")
        }
      }
      for (body, status, words) in [
        (Data("{".utf8), 400, "JSON"), (Data([0x7B, 0x22, 0xFF, 0xFE, 0x22, 0x7D]), 400, "UTF-8"),
        (Data(#"{"prompt": 7}"#.utf8), 400, "prompt"),
        (Data(#"{"prompt": "a", "model": "gpt-7"}"#.utf8), 404, "smollm2"),
        (Data(#"{"prompt": "a", "temperature": -1}"#.utf8), 400, "temperature"),
        (Data(repeating: 0x20, count: 9 << 20), 413, ""),
      ] {
        let answer = try await cluster.router.post("/v1/completions", body)
        #expect(answer.status == status, "\(answer.body)")
        #expect(words.isEmpty || answer.body.contains(words), "\(answer.body)")
      }
      let right = try await cluster.router.generate(Prompts.greedy("Hello there", maxTokens: 4))
      #expect(right.tokens.count == 4)
      try await cluster.expectNoBlocksInUse()
    }
  }

  @Test func aSignalDrainsAndASecondOneStopsAtOnce() async throws {
    let request = Prompts.greedy(Prompts.words(40, seed: 4), maxTokens: 150)
    try await Cluster.run(.smollm2(prefill: 1, decode: 1)) { cluster in
      let signalled = Lock(false)
      let answer = try await cluster.router.generate(request) { tokens in
        if tokens >= 4, !signalled.withLock({ $0 }) {
          signalled.withLock { $0 = true }
          cluster.decode[0].terminate()
        }
        return true
      }
      #expect(answer.tokens.count == 150, "what ran was not finished")
      #expect(try await cluster.decode[0].waitForExitCode() == 0)
      cluster.prefill[0].terminate()
      #expect(try await cluster.prefill[0].waitForExitCode() == 0)
      cluster.router.signal(SIGINT)
      #expect(try await cluster.router.waitForExitCode() == 0)
    }
    try await LocalProcesses.run { processes in
      let server = try await processes.serve()
      // Far more than the default drain timeout allows to finish.
      let endless = Prompts.greedy(Prompts.words(40, seed: 5), maxTokens: 8000)
      do {
        _ = try await server.generate(endless) { tokens in
          if tokens >= 2 { server.terminate() }
          return true
        }
      } catch is RPCError {}
      #expect(try await server.waitForExitCode() != 0)
    }
  }

  /// A process that is stopped keeps its connections open: its silence has to be noticed.
  @Test func aDecodeWorkerThatIsStoppedCostsNothingButTime() async throws {
    let request = Prompts.greedy(Prompts.words(200, seed: 18), maxTokens: 96)
    let expected = try await expected([request])
    try await Cluster.run(.smollm2()) { cluster in
      let isStreaming = Lock(false)
      async let answer = cluster.router.generate(request) { tokens in
        if tokens >= 8 { isStreaming.withLock { $0 = true } }
        return true
      }
      let stopped = Lock<LocalProcess?>(nil)
      try await waitUntil("the generating worker is stopped") {
        guard isStreaming.withLock({ $0 }) else { return false }
        for worker in cluster.decode where try await worker.statistics().runningSequences > 0 {
          worker.freeze()
          stopped.withLock { $0 = worker }
          return true
        }
        return false
      }
      let moved = try await answer
      expectEqual([moved], expected)
      #expect(moved.route.migrations == 1)
      let metrics = try await cluster.metrics(of: cluster.router)
      #expect(metrics.value("baton_router_stalled_streams_total") == 1)
      stopped.withLock { $0 }?.thaw()
      try await cluster.expectNoBlocksInUse()
    }
  }

  @Test func aPrefillWorkerThatIsStoppedCostsNothingButTime() async throws {
    let request = Prompts.greedy(Prompts.words(1500, seed: 17), maxTokens: 16)
    let expected = try await expected([request])
    try await Cluster.run(.smollm2(prefill: 1, arguments: ["--handoff-chunk-size", "32"])) { cluster in
      async let pending = cluster.router.generate(request)
      try await waitUntil("the prefill worker is sending") {
        let statistics = try await cluster.prefill[0].statistics()
        guard statistics.blocksSent > 1, statistics.runningSequences > 0 else { return false }
        cluster.prefill[0].freeze()
        return true
      }
      let answer = try await pending
      expectEqual([answer], expected)
      #expect(!answer.route.hasPrefill)
      #expect(answer.route.prefillFailures.map(\.worker.id) == ["prefill-0"])
      cluster.prefill[0].thaw()
      try await cluster.expectNoBlocksInUse()
    }
  }

  @Test func aRouterThatDrainsSaysSoAndFinishes() async throws {
    let request = Prompts.greedy(Prompts.words(40, seed: 6), maxTokens: 700)
    try await Cluster.run(.smollm2(prefill: 1, decode: 1)) { cluster in
      let isStreaming = Lock(false)
      async let pending = cluster.router.generate(request) { tokens in
        if tokens >= 4 { isStreaming.withLock { $0 = true } }
        return true
      }
      try await waitUntil("tokens come") { isStreaming.withLock { $0 } }
      cluster.router.terminate()
      try await waitUntil("the router is not ready") { try await cluster.router.get("/readyz").status == 503 }
      #expect(try await cluster.router.get("/livez").status == 200)
      let refusal = try await cluster.router.post("/v1/completions", Data(#"{"prompt": "a"}"#.utf8))
      #expect(refusal.status == 503, "\(refusal.body)")
      #expect(try await pending.tokens.count == 700)
      #expect(try await cluster.router.waitForExitCode() == 0)
    }
  }

  @Test func aTraceGoesThroughEveryProcess() async throws {
    try await Cluster.run(.smollm2(prefill: 1, decode: 1, arguments: ["--log-level", "debug"])) { cluster in
      let trace = "4bf92f3577b34da6a3ce929d0e0e4736"
      try await cluster.router.withClient { client in
        var request = Prompts.greedy(Prompts.words(200, seed: 9), maxTokens: 8)
        request.requestID = "traced"
        let header: Metadata = ["traceparent": "00-\(trace)-00f067aa0ba902b7-01"]
        try await Baton_V1_Inference.Client(wrapping: client).generate(request, metadata: header) { response in
          for try await _ in response.messages {}
        }
      }
      for worker in cluster.workers {
        try await waitUntil("\(worker.name) logs the trace") {
          worker.log.split(separator: "\n").contains { $0.contains(trace) && $0.contains("traced") }
        }
      }
    }
  }

  @Test func everyRoleShowsItsMetrics() async throws {
    try await Cluster.run(.smollm2(prefill: 1, decode: 1)) { cluster in
      _ = try await cluster.router.generate(Prompts.greedy(Prompts.words(200, seed: 9), maxTokens: 8))
      for member in cluster.workers + cluster.routers {
        try await waitUntil("\(member.name) has heard of the directory lately") {
          let metrics = try await cluster.metrics(of: member)
          // Nothing was heard before the first answer.
          guard let staleness = metrics.value("baton_directory_staleness_seconds") else { return false }
          return metrics.value("baton_directory_connected") == 1 && (0..<10).contains(staleness)
        }
      }
      let routing = try await cluster.metrics(of: cluster.router)
      #expect(routing.value("baton_directory_lookup_seconds_count") == 1, "each prompt is looked up once")
      #expect(routing.mean("baton_directory_lookup_seconds") ?? 0 > 0)
      for worker in cluster.workers {
        let metrics = try await cluster.metrics(of: worker)
        for name in ["baton_kv_active_blocks", "baton_scheduler_pending", "baton_block_reuse_rate"] {
          #expect(metrics.value(name) != nil, "\(worker.name) lacks \(name)")
        }
        #expect(try await worker.get("/livez").status == 200)
        #expect(try await worker.get("/readyz").status == 200)
      }
      let latencies = try await cluster.metrics(of: cluster.decode[0])
      #expect(latencies.value("baton_time_to_first_token_seconds_count") == 1)
      #expect(latencies.value("baton_inter_token_latency_seconds_count") == 7)
      #expect(try await cluster.router.get("/").status == 200)
    }
  }
}
