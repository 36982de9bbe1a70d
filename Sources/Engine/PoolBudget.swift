import KVCache
import ServingTypes

/// How many blocks the memory holds beside weights and scratch.
public struct PoolBudget: Hashable, Sendable {
  /// Bytes that the process may take.
  public var budgetBytes: Int
  /// The share of it that is used.
  public var utilization: Double
  public var weightBytes: Int
  public var scratchBytes: Int
  /// What each block takes, in every pool that has one for it.
  public var blockBytes: Int
  public var blockSize: Int

  public init(
    budgetBytes: Int, utilization: Double, weightBytes: Int, scratchBytes: Int, blockBytes: Int, blockSize: Int
  ) {
    self.budgetBytes = budgetBytes
    self.utilization = utilization
    self.weightBytes = weightBytes
    self.scratchBytes = scratchBytes
    self.blockBytes = blockBytes
    self.blockSize = blockSize
  }

  /// The blocks that fit, but never more than the sequences can fill.
  ///
  /// - Parameters:
  ///   - contextLength: the model's, which is shortened to what fits where `maxModelLen` asks for no length.
  ///   - maxModelLen: the length of a sequence that must fit; nil leaves it to the memory.
  /// - Throws: `failedPrecondition` that says how much is needed when not one sequence fits.
  public func blockCount(contextLength: Int, maxModelLen: Int?, maxNumSeqs: Int) throws(ServingError) -> Int {
    let left = Int(utilization * Double(budgetBytes)) - weightBytes - scratchBytes
    let count = max(0, left) / blockBytes
    let needed = max(Self.leastBlocks, maxModelLen.map(blocks) ?? 0)
    guard count >= needed else {
      let total = Double(weightBytes + scratchBytes + needed * blockBytes) / utilization
      let sequence = maxModelLen.map { "one sequence of max_model_len \($0) tokens" } ?? "a sequence of any use"
      throw ServingError(
        .failedPrecondition,
        "the memory does not hold \(sequence): needed are \(Self.mebibytes(total.rounded(.up))) (weights"
          + " \(Self.mebibytes(Double(weightBytes))), scratch \(Self.mebibytes(Double(scratchBytes))), \(needed) blocks of"
          + " \(blockBytes) bytes, at a memory_utilization of \(utilization)), and memory_budget is"
          + " \(Self.mebibytes(Double(budgetBytes))): raise memory_budget, or lower max_num_seqs"
          + (maxModelLen == nil ? "" : " or max_model_len"))
    }
    let most = (blocks(maxModelLen ?? contextLength) + 1).multipliedReportingOverflow(by: maxNumSeqs)
    return min(count, most.overflow ? Int.max : most.partialValue, Int(Int32.max))
  }

  /// - Throws: `failedPrecondition` when so many blocks do not hold one sequence of the length that was asked for.
  public func check(blockCount: Int, holds maxModelLen: Int?) throws(ServingError) {
    guard let maxModelLen, blocks(maxModelLen) > blockCount else { return }
    throw ServingError(
      .failedPrecondition,
      "num_blocks is \(blockCount), and one sequence of max_model_len \(maxModelLen) tokens takes"
        + " \(blocks(maxModelLen)) blocks of \(blockSize) tokens")
  }

  /// Bytes of host memory for copies of blocks, once the weights are loaded: none where less than a few blocks fit.
  ///
  /// - Parameters:
  ///   - wanted: as configured.
  ///   - blockCount: of the pool.
  ///   - free: bytes that the system has left, the weights and scratch already taken.
  ///   - limit: bytes of the container, weights and scratch included; nil where there is none.
  public func swapSpace(atMost wanted: Int, beside blockCount: Int, free: Int, limit: Int?) -> Int {
    let left = min(free, (limit ?? .max) - weightBytes - scratchBytes) - blockCount * blockBytes
    return left < 8 * blockBytes || wanted < 2 * blockBytes ? 0 : min(wanted, left)
  }

  /// With fewer there is no room for a prompt's last token beside a full block.
  private static let leastBlocks = 2

  private func blocks(_ tokens: Int) -> Int { BlockTable.blockCount(tokens: tokens, blockSize: blockSize) }

  /// Rounded up, so that what is needed is enough.
  private static func mebibytes(_ bytes: Double) -> String { "\(Int((bytes / 1_048_576).rounded(.up))) MiB" }
}
