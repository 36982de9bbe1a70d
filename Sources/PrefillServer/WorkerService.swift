import Engine
import GRPCCore
import RPC
import ServingProtos
import ServingTypes

/// `baton.v1.Worker`: what a worker is and how it does.
public struct WorkerService: Baton_V1_Worker.SimpleServiceProtocol {
  private let engine: EngineCore
  private let worker: WorkerState

  public init(engine: EngineCore, worker: WorkerState) {
    self.engine = engine
    self.worker = worker
  }

  public func describe(
    request: Baton_V1_DescribeRequest, context: ServerContext
  ) async throws -> Baton_V1_WorkerDescription {
    var description = Baton_V1_WorkerDescription()
    description.reference = Baton_V1_WorkerReference(worker.reference)
    description.role = worker.role.rawValue
    description.model = worker.model
    description.layoutDigest = engine.layout.digest
    description.layout = engine.layout.description
    description.blockSize = UInt32(clamping: engine.layout.blockSize)
    description.numBlocks = UInt32(clamping: engine.blockCount)
    description.blockBytes = UInt64(engine.layout.blockBytes())
    description.maxModelLen = UInt32(clamping: engine.maximumContextLength)
    description.draining = !worker.isReady
    return description
  }

  public func statistics(
    request: Baton_V1_StatisticsRequest, context: ServerContext
  ) async throws -> Baton_V1_WorkerStatistics {
    if request.checkIntegrity { try await engine.checkIntegrity() }
    let engine = engine.statistics
    var statistics = Baton_V1_WorkerStatistics()
    statistics.activeBlocks = UInt32(clamping: engine.activeBlocks)
    statistics.cachedBlocks = UInt32(clamping: engine.cachedBlocks)
    statistics.freeBlocks = UInt32(clamping: engine.freeBlocks)
    statistics.runningSequences = UInt32(clamping: engine.runningSequences)
    statistics.waitingSequences = UInt32(clamping: engine.waitingSequences)
    statistics.pendingPrefillTokens = UInt64(clamping: engine.pendingPrefillTokens)
    statistics.promptTokens = engine.promptTokens
    statistics.cachedPromptTokens = engine.cachedPromptTokens
    statistics.computedPromptTokens = engine.computedPromptTokens
    statistics.generatedTokens = engine.generatedTokens
    statistics.draftedTokens = engine.draftedTokens
    statistics.acceptedTokens = engine.acceptedTokens
    statistics.steps = engine.steps
    statistics.preemptions = engine.preemptions
    statistics.blocksSent = engine.blocksSent
    statistics.blocksReceived = engine.blocksReceived
    return statistics
  }
}
