import ClusterHarness
import Foundation
import Observability
import ServingProtos
import ServingTypes
import Testing

/// What a live process's metrics say of work that is known. A pool of 640 tokens is soon too small.
@Suite(.serialized, .enabled(if: TestFiles.baton != nil && TestFiles.model != nil, "needs baton and SmolLM2"))
struct LiveMetricsTests {
  private func withServer(_ body: (LocalProcess) async throws -> Void) async throws {
    try await LocalProcesses.run { processes in
      try await body(try await processes.serve(arguments: ["--num-blocks", "40", "--swap-space", "64MiB"]))
    }
  }

  private func metrics(of server: LocalProcess) async throws -> MetricsSnapshot {
    try MetricsSnapshot(parsing: try await server.get("/metrics").body)
  }

  private func value(_ name: String, of server: LocalProcess) async throws -> Double {
    try #require(try await metrics(of: server).value("baton_" + name), "\(name) is not exported")
  }

  private func concurrently(_ requests: [Baton_V1_GenerateRequest], on server: LocalProcess) async throws {
    try await withThrowingTaskGroup(of: Void.self) { group in
      for request in requests { group.addTask { _ = try await server.generate(request) } }
      try await group.waitForAll()
    }
  }

  /// Two samples of one prompt share its last block, until one of them writes.
  @Test func copiesAndDraftsAreCounted() async throws {
    try await withServer { server in
      #expect(try await value("copy_on_write_copies_total", of: server) == 0)
      var samples = Prompts.greedy(Prompts.words(20, seed: 1), maxTokens: 4)
      samples.sampling.n = 2
      samples.sampling.temperature = 0.9
      samples.sampling.seed = 1
      _ = try await server.generate(samples)
      #expect(try await value("copy_on_write_copies_total", of: server) >= 1)

      let refrain = Array(repeating: "one two three four five six", count: 8).joined(separator: " ")
      _ = try await server.generate(Prompts.greedy(refrain, maxTokens: 48))
      let after = try await metrics(of: server)
      let drafted = try #require(after.value("baton_drafted_tokens_total", where: ["method": "ngram"]))
      let accepted = try #require(after.value("baton_accepted_tokens_total"))
      #expect(accepted > 0 && accepted <= drafted)
      let recent = try #require(after.value("baton_draft_acceptance_recent"))
      #expect(recent > 0.5 && recent <= 1, "a text that repeats itself is foreseen: \(recent)")
      let rate = try #require(after.value("baton_draft_acceptance_rate"))
      #expect(abs(rate - accepted / drafted) < 0.001)
    }
  }

  @Test func memoryIsSeenWhileItIsUsedAndAfterwards() async throws {
    try await withServer { server in
      let isSeen = Lock(false)
      async let streams: Void = {
        while !isSeen.withLock({ $0 }), !Task.isCancelled {
          _ = try? await server.generate(Prompts.greedy(Prompts.words(30, seed: 2), maxTokens: 400)) { _ in
            !isSeen.withLock { $0 }
          }
        }
      }()
      try await waitUntil("a sequence's last block has room") {
        let metrics = try await metrics(of: server)
        let usage = try #require(metrics.value("baton_memory_usage"))
        let fragmentation = try #require(metrics.value("baton_kv_fragmentation"))
        #expect((0...1).contains(usage) && (0..<1).contains(fragmentation))
        #expect(metrics.value("baton_gpu_mem_usage") == usage)
        return metrics.value("baton_scheduler_running") == 1 && usage > 0 && fragmentation > 0
      }
      isSeen.withLock { $0 = true }
      await streams
      try await waitUntil("nothing is used any more") {
        let metrics = try await metrics(of: server)
        return ["memory_usage", "gpu_mem_usage", "kv_fragmentation", "scheduler_running"].allSatisfy {
          metrics.value("baton_" + $0) == 0
        }
      }
    }
  }

  @Test func preemptionsAndWhatComesUpAgainAreCounted() async throws {
    try await withServer { server in
      // Each prompt takes half of the pool, so that the first one lies in host memory when it comes again.
      let prompts = (1...3).map { Prompts.greedy(Prompts.words(250, seed: UInt64($0)), maxTokens: 2) }
      try await waitUntil("blocks come up and are used") {
        for prompt in prompts { _ = try await server.generate(prompt) }
        return try await metrics(of: server).value("baton_prefetches_ended_total", where: ["outcome": "used"]) ?? 0 > 0
      }
      let after = try await metrics(of: server)
      let started = try #require(after.value("baton_prefetches_total"))
      let used = try #require(after.value("baton_prefetches_ended_total", where: ["outcome": "used"]))
      let rate = try #require(after.value("baton_prefetch_hit_rate"))
      #expect(rate > 0 && rate <= 1 && abs(rate - used / started) < 0.001)
      #expect(after.value("baton_kv_tier_hits_total", where: ["tier": "host"]) ?? 0 > 0)
      #expect(after.value("baton_evictions_total") ?? 0 > 0)

      // Four that need most of the pool each: whoever comes last gives way.
      let crowd = (0..<4).map { Prompts.greedy(Prompts.words(40, seed: UInt64(10 + $0)), maxTokens: 400) }
      try await waitUntil("sequences are preempted") {
        try await concurrently(crowd, on: server)
        return try await value("preemptions_total", of: server) > 0
      }
    }
  }
}
