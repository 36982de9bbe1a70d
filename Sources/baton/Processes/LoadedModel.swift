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
  ///
  /// - Parameter schedulerThreads: of the router in the same process, for the log.
  func makeEngine(
    _ settings: EngineSettings, schedulerThreads: Int? = nil, logger: Logger
  ) throws(ServingError) -> EngineCore {
    let layout = CPUModelExecutor.layout(
      weights, blockSize: settings.blockSize, kvDType: settings.kvDType, arithmetic: settings.kernels)
    let draft = try DraftModel(settings, for: file)
    let budget = budget(settings, layout: layout, draft: draft)
    let blockCount = try blockCount(settings, budget: budget)
    let threadPool = try ThreadPool(threadCount: settings.threads)
    let executor = try CPUModelExecutor(
      weights: weights,
      configuration: .init(
        blockSize: settings.blockSize, blockCount: blockCount, kvDType: settings.kvDType, threads: settings.threads,
        arithmetic: settings.kernels, path: settings.kernelPath, maximumContextLength: settings.engine.maxModelLen,
        // The metadata names one or two; the vocabulary may hold more, as base and chat models share it.
        endOfGenerationTokens: tokenizer.endOfGenerationTokens), threadPool: threadPool)
    let configuration = settings.fitting(budget, blockCount: blockCount)
    let engine =
      if let draft {
        try EngineCore(
          executor: executor, draftExecutor: draft.makeExecutor(blockCount: blockCount, threadPool: threadPool),
          configuration: configuration)
      } else {
        try EngineCore(executor: executor, configuration: configuration)
      }
    let record = StartupRecord(
      model: self.settings.servedName, layout: layout, blockCount: blockCount,
      contextLength: engine.maximumContextLength, engine: configuration, draft: draft,
      schedulerThreads: schedulerThreads,
      weights: .init(
        loadSeconds: loadSeconds, threads: settings.threads, arithmetic: settings.kernels,
        path: settings.kernelPath ?? .best, budget: budget))
    logger.info("model loaded", metadata: record.metadata)
    return engine
  }

  /// What a draft model takes counts with the rest: its weights, and a block beside each block.
  private func budget(_ settings: EngineSettings, layout: KVLayout, draft: DraftModel?) -> PoolBudget {
    let drafts = settings.engine.enableSpecDecode ? settings.engine.numSpeculativeTokens : 0
    return PoolBudget(
      budgetBytes: settings.memoryBudget ?? MachineMemory.available() / settings.localWorkers,
      utilization: settings.memoryUtilization, weightBytes: weights.byteCount + (draft?.fixedBytes ?? 0),
      scratchBytes: CPUModelExecutor.scratchBytes(
        model: weights.configuration, threads: settings.threads, contextLength: settings.engine.maxModelLen,
        logitRows: settings.engine.maxNumSeqs * (1 + drafts) + SchedulerConfiguration.promptLogitRows),
      blockBytes: layout.blockBytes() + (draft?.blockBytes ?? 0), blockSize: layout.blockSize)
  }

  /// As given, or what the budget holds beside the weights.
  private func blockCount(_ settings: EngineSettings, budget: PoolBudget) throws(ServingError) -> Int {
    let longest = settings.engine.maxModelLen
    guard let given = settings.numBlocks else {
      return try budget.blockCount(
        contextLength: weights.configuration.contextLength, maxModelLen: longest,
        maxNumSeqs: settings.engine.maxNumSeqs)
    }
    try budget.check(blockCount: given, holds: longest)
    return given
  }
}
