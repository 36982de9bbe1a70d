import Engine
import ServingTypes

// What lies below the pool.
extension EngineSettings {
  private static let defaultSwapSpace = 4 << 30

  /// - Returns: `swap_space` where it is given.
  static func readTiers(
    _ options: EngineOptions, _ reader: inout ParameterReader, into engine: inout EngineConfiguration
  ) -> Int? {
    let defaults = EngineConfiguration()
    let swapSpace = reader.optionalByteCount("swap_space", flag: options.swapSpace)
    engine.swapSpace = swapSpace ?? defaultSwapSpace
    reader.noteDefault("4GiB")
    engine.offloadDir = reader.string("offload_dir", flag: options.offloadDir)
    engine.offloadSpace =
      reader.optionalByteCount("offload_space", flag: options.offloadSpace) ?? defaults.offloadSpace
    reader.noteDefault("16GiB")
    engine.offloadNumThreads = reader.integer(
      "offload_num_threads", flag: options.offloadNumThreads, default: defaults.offloadNumThreads, in: 1...64)
    engine.offloadThreshold = reader.number(
      "offload_threshold", flag: options.offloadThreshold, default: defaults.offloadThreshold, in: 0...1)
    engine.prefetchBlocks = reader.integer(
      "prefetch_blocks", flag: options.prefetchBlocks, default: defaults.prefetchBlocks, in: 1...1024)
    return swapSpace
  }

  /// The engine's configuration with no more swap space than the machine has beside weights and pool.
  ///
  /// - Parameter blockCount: of the pool.
  func fitting(_ budget: PoolBudget, blockCount: Int) -> EngineConfiguration {
    var fitting = engine
    fitting.swapSpace = budget.swapSpace(
      atMost: engine.swapSpace, beside: blockCount, free: MachineMemory.free() / localWorkers,
      limit: MachineMemory.limit().map { $0 / localWorkers })
    return fitting
  }
}
