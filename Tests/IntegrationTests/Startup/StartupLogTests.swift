import ClusterHarness
import Foundation
import Observability
import Testing

/// What a process logs at its start is what it runs with, and holds no secret.
@Suite(.serialized, .enabled(if: TestFiles.baton != nil && TestFiles.model != nil, "needs baton and SmolLM2"))
struct StartupLogTests {
  /// No parameter at its default, so that each number must have come all the way.
  @Test func aWorkerLogsWhatWasDecided() async throws {
    try await LocalProcesses.run { processes in
      let worker = processes.add(
        "decode", role: .decode, executable: TestFiles.baton ?? "",
        arguments: ["decode"] + TestFiles.modelArguments + [
          "--listen", "127.0.0.1:0", "--http-listen", "127.0.0.1:0", "--auth-token", "hush-1", "--threads", "1",
          "--kernels", "reference", "--block-size", "32", "--kv-cache-dtype", "int8", "--memory-budget", "400MiB",
          "--memory-utilization", "0.8", "--max-num-seqs", "5", "--max-num-batched-tokens", "512", "--swap-space",
          "32MiB", "--offload-dir", processes.folder, "--offload-space", "64MiB", "--offload-num-threads", "3",
          "--offload-threshold", "0.5", "--prefetch-blocks", "2", "--spec-method", "suffix",
          "--num-speculative-tokens", "3",
        ])
      try worker.start()
      let log = try await StartupLog(of: worker)
      #expect(log.model == "smollm2" && log.loadSeconds ?? 0 > 0)
      #expect(log.layout.contains("block_size 32") && log.layout.contains(" int8 "))
      #expect(log.blocks.blockSize == 32 && log.blocks.kvCacheDtype == "int8" && log.blocks.prefixCaching)
      // 30 layers of 3 heads of 64: keys and values in bytes, each with a scale.
      #expect(log.blocks.blockBytes == 32 * 30 * 3 * 2 * (64 + 2))
      #expect(log.blocks.tokens == log.blocks.numBlocks * 32)
      #expect(log.maxModelLen == min(8192, log.blocks.tokens))
      let memory = try #require(log.memory)
      #expect(memory.budgetBytes == 400 << 20 && memory.utilization == 0.8)
      #expect(memory.weightBytes > 0 && memory.scratchBytes > 0)
      #expect(memory.poolBytes == log.blocks.numBlocks * log.blocks.blockBytes)
      #expect(memory.weightBytes + memory.scratchBytes + memory.poolBytes <= (400 << 20) / 10 * 8)
      #expect(log.tiers.swapSpace == 32 << 20 && log.tiers.offloadSpace == 64 << 20)
      #expect(log.tiers.offloadDir == processes.folder && log.tiers.offloadNumThreads == 3)
      #expect(log.tiers.offloadThreshold == 0.5 && log.tiers.prefetchBlocks == 2)
      #expect(log.batch.maxNumSeqs == 5 && log.batch.maxNumBatchedTokens == 512)
      #expect(log.speculation.method == "suffix" && log.speculation.numSpeculativeTokens == 3)
      #expect(log.speculation.draftModel == "none" && log.speculation.draftBlockBytes == 0)
      let kernels = try #require(log.kernels)
      #expect(kernels.threads == 1 && kernels.arithmetic == "reference" && !kernels.path.isEmpty)
      #expect(log.numSchedulerThreads == nil)

      // Not only said: the engine has them.
      try await worker.waitUntilReady()
      let metrics = try MetricsSnapshot(parsing: try await worker.get("/metrics").body)
      #expect(metrics.value("baton_kv_blocks") == Double(log.blocks.numBlocks))
      #expect(metrics.value("baton_kv_block_bytes") == Double(log.blocks.blockBytes))
      #expect(metrics.value("baton_max_context_tokens") == Double(log.maxModelLen))
      #expect(metrics.value("baton_scheduler_max_num_seqs") == 5)
      for (tier, bytes) in [("host", log.tiers.swapSpace), ("file", log.tiers.offloadSpace)] {
        let capacity = metrics.value("baton_kv_tier_capacity_blocks", where: ["tier": tier]) ?? 0
        #expect(capacity > 0 && capacity * Double(log.blocks.blockBytes) <= Double(bytes), "\(tier)")
      }
      #expect(try await worker.loggedParameters()["auth_token"] == "***")
      #expect(!worker.log.contains("hush"), "\(worker.log)")
    }
  }

  /// A draft model's blocks lie beside the others and count with them; who reads prompts has threads for it.
  @Test func aServerLogsItsDraftModelAndItsSchedulerThreads() async throws {
    try await LocalProcesses.run { processes in
      let server = processes.add(
        "serve", executable: TestFiles.baton ?? "",
        arguments: ["serve"] + TestFiles.modelArguments + [
          "--listen", "127.0.0.1:0", "--http-listen", "none", "--api-key", "hush-2", "--auth-token", "hush-3",
          "--num-blocks", "32", "--draft-model", TestFiles.model ?? "", "--num-speculative-tokens", "2",
          "--num-scheduler-threads", "3",
        ])
      try server.start()
      let log = try await StartupLog(of: server)
      #expect(log.numSchedulerThreads == 3)
      #expect(log.speculation.method == "draft" && log.speculation.numSpeculativeTokens == 2)
      #expect(log.speculation.draftModel == TestFiles.model.map { URL(filePath: $0).lastPathComponent })
      #expect(log.blocks.numBlocks == 32 && log.speculation.draftBlockBytes == log.blocks.blockBytes)
      let memory = try #require(log.memory)
      #expect(memory.poolBytes == 32 * (log.blocks.blockBytes + log.speculation.draftBlockBytes))
      let alone = try await StartupLog.decided(["--num-blocks", "32"])
      #expect(memory.weightBytes >= 2 * (alone.memory?.weightBytes ?? 0), "the draft model's weights count")
      let parameters = try await server.loggedParameters()
      #expect(parameters["api_key"] == "***" && parameters["auth_token"] == "***")
      #expect(parameters["num_scheduler_threads"] == "3")
      #expect(!server.log.contains("hush"), "\(server.log)")
    }
  }

  /// Who only computes prompts guesses nothing, and loads no draft model.
  @Test func aPrefillWorkerLogsThatItDoesNotSpeculate() async throws {
    try await LocalProcesses.run { processes in
      let worker = processes.add(
        "prefill", role: .prefill, executable: TestFiles.baton ?? "",
        arguments: ["prefill"] + TestFiles.modelArguments + [
          "--listen", "127.0.0.1:0", "--http-listen", "none", "--num-blocks", "32", "--draft-model",
          TestFiles.model ?? "", "--no-enable-prefix-caching",
        ])
      try worker.start()
      let log = try await StartupLog(of: worker)
      #expect(log.speculation.method == "off" && log.speculation.numSpeculativeTokens == 0)
      #expect(log.speculation.draftModel == "none" && log.speculation.draftBlockBytes == 0)
      // Nothing is kept that could go down.
      #expect(!log.blocks.prefixCaching && log.tiers.swapSpace == 0 && log.tiers.offloadNumThreads == nil)
    }
  }

  @Test func aSimulatedWorkerLogsItsBlocksAndTiers() async throws {
    try await LocalProcesses.run { processes in
      let worker = processes.add(
        "decode", role: .decode, executable: TestFiles.baton ?? "",
        arguments: [
          "decode", "--simulate", "free", "--listen", "127.0.0.1:0", "--http-listen", "none", "--num-blocks", "64",
          "--block-size", "8", "--swap-space", "1MiB", "--prefetch-blocks", "3",
        ])
      try worker.start()
      let log = try await StartupLog(of: worker)
      #expect(log.model == "free" && log.maxModelLen == 512)
      #expect(log.blocks.numBlocks == 64 && log.blocks.blockSize == 8 && log.blocks.tokens == 512)
      #expect(log.blocks.kvCacheDtype == "f16" && log.blocks.prefixCaching && log.blocks.blockBytes == 8 * 16)
      #expect(log.tiers.swapSpace == 1 << 20 && log.tiers.prefetchBlocks == 3 && log.tiers.offloadDir == "none")
      #expect(log.kernels == nil && log.memory == nil)
    }
  }

  @Test func aRouterLogsItsParametersWithoutSecrets() async throws {
    try await LocalProcesses.run { processes in
      let router = processes.add(
        "router", role: .router, executable: TestFiles.baton ?? "",
        arguments: [
          "router", "--simulate", "free", "--listen", "127.0.0.1:0", "--http-listen", "none", "--api-key", "hush-4",
          "--auth-token", "hush-5", "--redis", "redis://:hush-6@127.0.0.1:1", "--num-scheduler-threads", "4",
        ])
      try router.start()
      let parameters = try await router.loggedParameters()
      #expect(parameters["num_scheduler_threads"] == "4")
      #expect(parameters["api_key"] == "***" && parameters["redis"]?.isEmpty == false)
      // What goes wrong with the directory is told without its password too.
      try await router.waitUntilReady()
      #expect(!router.log.contains("hush"), "\(router.log)")
    }
  }
}
