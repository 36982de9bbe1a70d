import Engine
import Logging
import ModelRuntime
import ServingTypes

/// What was decided at a worker's start, for one line of its log.
struct StartupRecord {
  var model: String
  var loadSeconds: Double
  var layout: KVLayout
  var kvDType: KVDType
  var blockCount: Int
  var contextLength: Int
  var engine: EngineConfiguration
  var threads: Int
  var arithmetic: KernelArithmetic
  var path: KernelPath
  var budget: PoolBudget

  var metadata: Logger.Metadata {
    [
      "model": "\(model)", "load_seconds": .stringConvertible(loadSeconds), "layout": "\(layout)",
      "layout_digest": "\(layout.digest)", "max_model_len": .stringConvertible(contextLength),
      "blocks": [
        "num_blocks": .stringConvertible(blockCount), "block_size": .stringConvertible(layout.blockSize),
        "block_bytes": .stringConvertible(layout.blockBytes()),
        "tokens": .stringConvertible(blockCount * layout.blockSize), "kv_cache_dtype": "\(kvDType.rawValue)",
        "prefix_caching": .stringConvertible(engine.enablePrefixCaching),
      ],
      "tiers": [
        "swap_space": .stringConvertible(engine.swapSpace), "offload_dir": "\(engine.offloadDir ?? "none")",
        "offload_space": .stringConvertible(engine.offloadDir == nil ? 0 : engine.offloadSpace),
      ],
      "kernels": [
        "threads": .stringConvertible(threads), "arithmetic": "\(arithmetic.rawValue)", "path": "\(path.rawValue)",
      ],
      "batch": [
        "max_num_seqs": .stringConvertible(engine.maxNumSeqs),
        "max_num_batched_tokens": .stringConvertible(engine.maxNumBatchedTokens),
        "speculation": "\(engine.speculates ? engine.specMethod.rawValue : "off")",
        "num_speculative_tokens": .stringConvertible(engine.speculates ? engine.numSpeculativeTokens : 0),
      ],
      "memory": [
        "weight_bytes": .stringConvertible(budget.weightBytes),
        "scratch_bytes": .stringConvertible(budget.scratchBytes),
        "pool_bytes": .stringConvertible(blockCount * budget.blockBytes),
        "budget_bytes": .stringConvertible(budget.budgetBytes),
        "utilization": .stringConvertible(budget.utilization),
      ],
    ]
  }
}
