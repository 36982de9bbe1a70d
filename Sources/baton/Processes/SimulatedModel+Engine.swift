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
    logger.info(
      "model simulated",
      metadata: [
        "model": "\(name)", "layout_digest": "\(engine.layout.digest)", "num_blocks": "\(engine.blockCount)",
        "max_model_len": "\(engine.maximumContextLength)",
      ])
    return engine
  }
}
