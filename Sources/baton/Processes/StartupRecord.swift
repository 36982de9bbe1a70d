import Engine
import Logging
import ModelRuntime
import ServingTypes

/// What was decided at a worker's start, for one line of its log.
struct StartupRecord {
  /// What a simulated model has none of.
  struct Weights {
    var loadSeconds: Double
    var threads: Int
    var arithmetic: KernelArithmetic
    var path: KernelPath
    var budget: PoolBudget
  }

  var model: String
  var layout: KVLayout
  var blockCount: Int
  var contextLength: Int
  var engine: EngineConfiguration
  var draft: DraftModel?
  /// Nil where the role reads no prompts.
  var schedulerThreads: Int?
  var weights: Weights?

  var metadata: Logger.Metadata {
    var metadata: Logger.Metadata = [
      "model": "\(model)", "layout": "\(layout)", "layout_digest": "\(layout.digest)",
      "max_model_len": .stringConvertible(contextLength), "blocks": .dictionary(blocks), "tiers": .dictionary(tiers),
      "batch": [
        "max_num_seqs": .stringConvertible(engine.maxNumSeqs),
        "max_num_batched_tokens": .stringConvertible(engine.maxNumBatchedTokens),
      ],
      "speculation": [
        "method": "\(engine.speculates ? engine.specMethod.rawValue : "off")",
        "num_speculative_tokens": .stringConvertible(engine.speculates ? engine.numSpeculativeTokens : 0),
        "draft_model": "\(draft?.fileName ?? "none")",
        "draft_block_bytes": .stringConvertible(draft?.blockBytes ?? 0),
      ],
    ]
    if let schedulerThreads { metadata["num_scheduler_threads"] = .stringConvertible(schedulerThreads) }
    if let weights {
      metadata["load_seconds"] = .stringConvertible(weights.loadSeconds)
      metadata["kernels"] = [
        "threads": .stringConvertible(weights.threads), "arithmetic": "\(weights.arithmetic.rawValue)",
        "path": "\(weights.path.rawValue)",
      ]
      metadata["memory"] = .dictionary(memory(weights.budget))
    }
    return metadata
  }

  private var blocks: Logger.Metadata {
    [
      "num_blocks": .stringConvertible(blockCount), "block_size": .stringConvertible(layout.blockSize),
      "block_bytes": .stringConvertible(layout.blockBytes()),
      "tokens": .stringConvertible(blockCount * layout.blockSize),
      "kv_cache_dtype": "\(layout.groups.map(\.dtype.rawValue).joined(separator: ","))",
      "prefix_caching": .stringConvertible(engine.enablePrefixCaching),
    ]
  }

  /// Without a prefix cache nothing is kept that could go down, so there are none.
  private var tiers: Logger.Metadata {
    let hostBytes = engine.enablePrefixCaching ? engine.swapSpace : 0
    let folder = engine.enablePrefixCaching ? engine.offloadDir : nil
    var tiers: Logger.Metadata = [
      "swap_space": .stringConvertible(hostBytes), "offload_dir": "\(folder ?? "none")",
      "offload_space": .stringConvertible(folder == nil ? 0 : engine.offloadSpace),
    ]
    if hostBytes > 0 || folder != nil {
      tiers["offload_num_threads"] = .stringConvertible(engine.offloadNumThreads)
      tiers["offload_threshold"] = .stringConvertible(engine.offloadThreshold)
      tiers["prefetch_blocks"] = .stringConvertible(engine.prefetchBlocks)
    }
    return tiers
  }

  private func memory(_ budget: PoolBudget) -> Logger.Metadata {
    [
      "weight_bytes": .stringConvertible(budget.weightBytes),
      "scratch_bytes": .stringConvertible(budget.scratchBytes),
      "pool_bytes": .stringConvertible(blockCount * budget.blockBytes),
      "budget_bytes": .stringConvertible(budget.budgetBytes),
      "utilization": .stringConvertible(budget.utilization),
    ]
  }
}
