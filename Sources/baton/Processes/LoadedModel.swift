import Engine
import Foundation
import Logging
import ModelRuntime
import Scheduling
import ServingTypes
import Tokenization

/// A model with its weights in memory, from which a worker's executor is made.
struct LoadedModel: Sendable {
  let settings: ModelSettings
  let file: GGUFFile
  let weights: ModelWeights
  let tokenizer: any Tokenizer
  let loadSeconds: Double

  init(_ settings: ModelSettings, threads: Int) throws(ServingError) {
    let start = ContinuousClock.now
    self.settings = settings
    file = try GGUFFile(path: settings.path)
    tokenizer = try file.makeTokenizer()
    weights = try ModelWeights(file: file, threads: threads)
    loadSeconds = (ContinuousClock.now - start) / .seconds(1)
  }

  /// An engine on a pool of its own; the caller starts it.
  func makeEngine(_ settings: EngineSettings, logger: Logger) throws(ServingError) -> EngineCore {
    let layout = CPUModelExecutor.layout(
      weights, blockSize: settings.blockSize, kvDType: settings.kvDType, arithmetic: settings.kernels)
    let draft = try DraftModel(settings, for: file)
    let blockCount = try blockCount(settings, layout: layout, draft: draft)
    let threadPool = try ThreadPool(threadCount: settings.threads)
    let executor = try CPUModelExecutor(
      weights: weights,
      configuration: .init(
        blockSize: settings.blockSize, blockCount: blockCount, kvDType: settings.kvDType, threads: settings.threads,
        arithmetic: settings.kernels, path: settings.kernelPath, maximumContextLength: settings.engine.maxModelLen,
        // The metadata names one or two; the vocabulary may hold more, as base and chat models share it.
        endOfGenerationTokens: tokenizer.endOfGenerationTokens), threadPool: threadPool)
    logger.info(
      "model loaded",
      metadata: [
        "model": "\(self.settings.servedName)", "layout": "\(layout)", "layout_digest": "\(layout.digest)",
        "num_blocks": "\(blockCount)", "block_bytes": "\(layout.blockBytes())", "weight_bytes": "\(weights.byteCount)",
        "seconds": "\(loadSeconds)",
        "speculation": "\(settings.engine.speculates ? settings.engine.specMethod.rawValue : "off")",
        "draft_block_bytes": "\(draft?.blockBytes ?? 0)", "draft_bytes": "\(draft?.fixedBytes ?? 0)",
      ])
    let blockBytes = layout.blockBytes()
    let engine = settings.fitting(poolBytes: blockCount * blockBytes, blockBytes: blockBytes)
    logger.info(
      "blocks below the pool",
      metadata: ["swap_space": "\(engine.swapSpace)", "offload_dir": "\(engine.offloadDir ?? "none")"])
    guard let draft else { return try EngineCore(executor: executor, configuration: engine) }
    return try EngineCore(
      executor: executor, draftExecutor: draft.makeExecutor(blockCount: blockCount, threadPool: threadPool),
      configuration: engine)
  }

  /// As given, or what the budget holds beside the weights, but never more than the sequences can fill.
  private func blockCount(_ settings: EngineSettings, layout: KVLayout, draft: DraftModel?) throws(ServingError) -> Int
  {
    if let given = settings.numBlocks { return given }
    let budget = settings.memoryBudget ?? MachineMemory.available() / settings.localWorkers
    let usable = Int(settings.memoryUtilization * Double(budget)) - weights.byteCount - (draft?.fixedBytes ?? 0)
    let drafts = settings.engine.enableSpecDecode ? settings.engine.numSpeculativeTokens : 0
    let count = CPUModelExecutor.blockCount(
      bytes: usable, layout: layout, model: weights.configuration,
      logitRows: settings.engine.maxNumSeqs * (1 + drafts) + SchedulerConfiguration.promptLogitRows,
      bytesBeside: draft?.blockBytes ?? 0)
    guard count >= 2 else {
      throw ServingError(
        .failedPrecondition,
        "the memory budget of \(budget / 1_048_576) MiB holds the weights (\(weights.byteCount / 1_048_576) MiB) but no"
          + " blocks of \(layout.blockBytes()) bytes beside the scratch of \(settings.engine.maxNumSeqs) sequences:"
          + " raise memory_budget, lower max_num_seqs or give num_blocks")
    }
    let context = settings.engine.maxModelLen ?? weights.configuration.contextLength
    let most = (context / layout.blockSize + 1) * settings.engine.maxNumSeqs
    return min(count, most, Int(Int32.max))
  }
}
