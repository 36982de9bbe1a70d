import ClusterHarness
import Foundation
import GRPCCore
import ServingProtos
import ServingTypes
import Testing

/// A decode worker that has no room says so early, and every client hears when to try again.
@Suite(.serialized, .enabled(if: TestFiles.baton != nil && TestFiles.redis != nil))
struct OverloadTests {
  /// What keeps the second request from running: the sequences in flight, or the pool, which its prompt does not fit into
  /// beside the first one's.
  @Test(arguments: [["--max-num-seqs", "1"], ["--num-blocks", "20"]])
  func whoFindsTheQueueFullIsRefusedAndTheOthersAreServed(limit: [String]) async throws {
    let running = TokenPrompts.greedy(256, seed: 1, maxTokens: 48)
    let queued = TokenPrompts.greedy(160, seed: 2, maxTokens: 4)
    let expected = try await TokenPrompts.answers(to: [running, queued])
    try await PacedModel(step: .milliseconds(250)).withFile { model in
      var configuration = ClusterConfiguration.simulated(model: model)
      let others = configuration.arguments
      configuration.arguments = { role, index in
        // A self-test would take the queue's place.
        let own = limit + ["--max-queued-requests", "1", "--self-test-interval", "600s", "--no-enable-spec-decode"]
        return others(role, index) + (role == .decode ? own : [])
      }
      try await Cluster.run(configuration) { cluster in
        let worker = cluster.decode[0]
        let isRunning = Lock(false)
        async let first = cluster.router.generate(running) { tokens in
          if tokens > 0 { isRunning.withLock { $0 = true } }
          return true
        }
        try await waitUntil("the first request runs") { isRunning.withLock { $0 } }
        async let second = cluster.router.post("/v1/completions", Self.body(queued))
        try await waitUntil("the second one is queued") { try await worker.statistics().waitingSequences == 1 }

        let refusal = try await cluster.router.post("/v1/completions", Self.body(TokenPrompts.greedy(64, seed: 3)))
        #expect(refusal.status == 429, "\(refusal.body)")
        #expect(refusal.body.contains("the queue is full"), "\(refusal.body)")
        #expect(refusal.headers["retry-after"].flatMap { Int($0) } ?? 0 >= 1, "\(refusal.headers)")
        let error = await #expect(throws: RPCError.self) {
          try await cluster.router.generate(TokenPrompts.greedy(64, seed: 4))
        }
        #expect(error?.code == .resourceExhausted)
        let delay = error?.metadata[stringValues: "retry-after-ms"].first { _ in true }
        #expect(delay.flatMap { Int($0) } ?? 0 > 0)
        let details = error?.metadata[binaryValues: "grpc-status-details-bin"].first { _ in true }
        #expect(details.map { String(decoding: $0, as: UTF8.self).contains("google.rpc.RetryInfo") } == true)

        #expect(try await first.agrees(with: expected[0]))
        let answer = try await second
        #expect(answer.status == 200 && Self.text(answer.body) == expected[1].text, "\(answer.body)")
        try await cluster.expectNoBlocksInUse()
        #expect(try await cluster.metrics(of: cluster.router).value("baton_router_refusals_total") == 2)
      }
    }
  }

  private static func body(_ request: Baton_V1_GenerateRequest) throws -> Data {
    try JSONSerialization.data(withJSONObject: [
      "prompt": request.tokens.ids.map(Int.init), "max_tokens": Int(request.sampling.maxTokens), "temperature": 0,
    ])
  }

  private static func text(_ body: String) -> String? {
    let object = try? JSONSerialization.jsonObject(with: Data(body.utf8)) as? [String: Any]
    return (object?["choices"] as? [[String: Any]])?.first?["text"] as? String
  }
}
