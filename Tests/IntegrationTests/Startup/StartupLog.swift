import ClusterHarness
import Foundation

/// What a worker's process logs once of what was decided at its start.
struct StartupLog: Decodable, Sendable {
  struct Blocks: Decodable, Sendable {
    var numBlocks, blockSize, blockBytes, tokens: Int
    var kvCacheDtype: String
    var prefixCaching: Bool
  }

  struct Tiers: Decodable, Sendable {
    var swapSpace, offloadSpace: Int
    var offloadDir: String
    var offloadNumThreads, prefetchBlocks: Int?
    var offloadThreshold: Double?
  }

  struct Kernels: Decodable, Sendable {
    var threads: Int
    var arithmetic, path: String
  }

  struct Batch: Decodable, Sendable {
    var maxNumSeqs, maxNumBatchedTokens: Int
  }

  struct Speculation: Decodable, Sendable {
    var method, draftModel: String
    var numSpeculativeTokens, draftBlockBytes: Int
  }

  struct Memory: Decodable, Sendable {
    var weightBytes, scratchBytes, poolBytes, budgetBytes: Int
    var utilization: Double

    /// Of this share of the budget, what weights and scratch leave, in blocks.
    func blocks(of bytes: Int) -> Int { (Int(utilization * Double(budgetBytes)) - weightBytes - scratchBytes) / bytes }
  }

  private struct Line: Decodable {
    var metadata: StartupLog
  }

  var model, layout, layoutDigest: String
  var maxModelLen: Int
  var blocks: Blocks
  var tiers: Tiers
  var batch: Batch
  var speculation: Speculation
  var numSchedulerThreads: Int?
  /// Of a real model.
  var loadSeconds: Double?
  var kernels: Kernels?
  var memory: Memory?

  /// Waits for the record of a process that was started.
  init(of process: LocalProcess) async throws {
    let line = try await process.line(of: ["model loaded", "model simulated"])
    let decoder = JSONDecoder()
    decoder.keyDecodingStrategy = .convertFromSnakeCase
    self = try decoder.decode(Line.self, from: Data(line.utf8)).metadata
  }

  /// What a decode worker over the real model decides; the worker ends as soon as that is known.
  static func decided(_ arguments: [String], environment: [String: String] = [:]) async throws -> StartupLog {
    try await LocalProcesses.run { processes in
      let worker = processes.add(
        "decode", role: .decode, executable: TestFiles.baton ?? "",
        arguments: ["decode"] + TestFiles.modelArguments
          + ["--threads", "1", "--listen", "127.0.0.1:0", "--http-listen", "none"] + arguments,
        environment: environment)
      try worker.start()
      return try await StartupLog(of: worker)
    }
  }
}
