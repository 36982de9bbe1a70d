import Foundation
import Testing

/// What parameters of memory come to in a process: the blocks that it has.
///
/// The budgets are small, and eight sequences could fill more than they hold, so that they alone limit the pool.
@Suite(.serialized, .enabled(if: TestFiles.baton != nil && TestFiles.model != nil, "needs baton and SmolLM2"))
struct MemoryParameterTests {
  private static let few = ["--max-num-seqs", "8"]

  private func decided(_ arguments: String...) async throws -> (log: StartupLog, memory: StartupLog.Memory) {
    let log = try await StartupLog.decided(Self.few + arguments)
    return (log, try #require(log.memory))
  }

  @Test func budgetAndUtilizationLimitThePool() async throws {
    let (whole, _) = try await decided("--memory-budget", "600MiB")
    let (half, _) = try await decided("--memory-budget", "600MiB", "--memory-utilization", "0.45")
    let (small, _) = try await decided("--memory-budget", "300MiB")
    for (log, budget, utilization) in [(whole, 600, 0.9), (half, 600, 0.45), (small, 300, 0.9)] {
      let memory = try #require(log.memory)
      #expect(memory.budgetBytes == budget << 20 && memory.utilization == utilization)
      #expect(log.blocks.numBlocks == memory.blocks(of: log.blocks.blockBytes))
    }
    // Weights and scratch stay, so that less than half of the blocks is left.
    #expect(2 * half.blocks.numBlocks < whole.blocks.numBlocks)
    #expect(abs(half.blocks.numBlocks - small.blocks.numBlocks) <= 1, "a share of the budget is as good as a budget")
  }

  @Test func quantisedBlocksAreTwiceAsMany() async throws {
    let (plain, _) = try await decided("--memory-budget", "400MiB")
    let (fp8, _) = try await decided("--memory-budget", "400MiB", "--kv-cache-dtype", "fp8")
    let (short, _) = try await decided("--memory-budget", "400MiB", "--enable-kv-cache-quantization")
    #expect(plain.blocks.kvCacheDtype == "f16" && fp8.blocks.kvCacheDtype == "fp8")
    // 64 values of a head with a scale of two bytes, beside 64 of two bytes.
    #expect(fp8.blocks.blockBytes * 128 == plain.blocks.blockBytes * 66)
    let ratio = Double(fp8.blocks.numBlocks) / Double(plain.blocks.numBlocks)
    #expect((1.9...2).contains(ratio), "\(ratio)")
    #expect(short.blocks.kvCacheDtype == "fp8" && short.layoutDigest == fp8.layoutDigest)
    #expect(short.blocks.numBlocks == fp8.blocks.numBlocks)
  }

  @Test func aNumberOfBlocksIsTakenAsItIs() async throws {
    let (log, memory) = try await decided("--num-blocks", "33", "--memory-budget", "300MiB")
    #expect(log.blocks.numBlocks == 33 && memory.poolBytes == 33 * log.blocks.blockBytes)
    #expect(log.maxModelLen == 33 * 16)
  }

  /// More blocks than the sequences can fill would be of no use.
  @Test func theLongestContextLimitsThePool() async throws {
    let (log, memory) = try await decided("--max-model-len", "128", "--memory-budget", "900MiB")
    #expect(log.maxModelLen == 128)
    #expect(log.blocks.numBlocks == 8 * (128 / 16 + 1))
    #expect(memory.blocks(of: log.blocks.blockBytes) > log.blocks.numBlocks, "the memory was not what limited it")
  }

  /// What is free changes between two starts, but not that much.
  @Test func localWorkersShareWhatIsFree() async throws {
    let (_, alone) = try await decided("--num-blocks", "32")
    let (_, fourth) = try await decided("--num-blocks", "32", "--local-workers", "4")
    let share = Double(fourth.budgetBytes) / Double(alone.budgetBytes)
    #expect((0.125...0.5).contains(share), "\(share)")
  }

  /// The number in the error is the least that does, to the mebibyte.
  @Test(arguments: [[], ["--max-model-len", "1024"]])
  func tooSmallABudgetSaysHowMuchIsNeeded(length: [String]) async throws {
    let commands = CommandLineTests()
    func refused(_ mebibytes: Int) async throws -> String {
      let outcome = try await commands.run(
        ["decode"] + TestFiles.modelArguments + Self.few + length + [
          "--threads", "1", "--listen", "127.0.0.1:0", "--http-listen", "none", "--memory-budget", "\(mebibytes)MiB",
        ])
      #expect(outcome.code == 1)
      let last = String(outcome.errors.split(separator: "\n").last ?? "")
      #expect(last.hasPrefix("baton: error: the memory does not hold"), "\(last)")
      #expect(last.contains("memory_budget is \(mebibytes) MiB: raise memory_budget"), "\(last)")
      return last
    }
    let error = try await refused(64)
    let match = try #require(error.firstMatch(of: /needed are (\d+) MiB/), "\(error)")
    let needed = try #require(Int(match.1))
    _ = try await refused(needed - 1)
    let log = try await StartupLog.decided(Self.few + length + ["--memory-budget", "\(needed)MiB"])
    #expect(log.maxModelLen >= (length.isEmpty ? 16 : 1024))
  }

  @Test func tooFewBlocksForTheLongestContextAreRefused() async throws {
    let outcome = try await CommandLineTests().run(
      ["decode"] + TestFiles.modelArguments + [
        "--listen", "127.0.0.1:0", "--http-listen", "none", "--num-blocks", "8", "--max-model-len", "160",
      ])
    #expect(outcome.code == 1 && outcome.errors.contains("num_blocks is 8"), "\(outcome.errors)")
    #expect(outcome.errors.contains("max_model_len 160 tokens takes 10 blocks"), "\(outcome.errors)")
  }
}
