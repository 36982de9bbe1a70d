import Engine
import Logging
import ModelSimulation
import ServingTypes

extension SimulatedModel {
  /// An engine that waits where others compute; the caller starts it.
  func makeEngine(_ settings: EngineSettings, logger: Logger) throws(ServingError) -> EngineCore {
    guard settings.engine.specMethod != .draft else {
      throw ServingError(.invalidArgument, "a simulated model has no draft model")
    }
    var configuration = settings.engine
    // Nothing of its blocks is worth a tier unless one is asked for.
    configuration.swapSpace = settings.givenSwapSpace ?? 0
    let executor = try makeExecutor(
      blockCount: settings.numBlocks ?? blocks, blockSize: settings.blockSize,
      maximumContextLength: settings.engine.maxModelLen)
    let engine = try EngineCore(executor: executor, configuration: configuration)
    let record = StartupRecord(
      model: name, layout: engine.layout, blockCount: engine.blockCount, contextLength: engine.maximumContextLength,
      engine: configuration)
    logger.info("model simulated", metadata: record.metadata)
    return engine
  }
}
