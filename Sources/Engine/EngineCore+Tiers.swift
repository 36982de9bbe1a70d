import KVCache
import ModelRuntime
import ServingTypes

extension EngineCore {
  /// The tiers that the configuration asks for; nil where it asks for none, or blocks are not kept.
  ///
  /// - Parameter fileTier: stands in for the file in `offloadDir`.
  /// - Throws: `failedPrecondition` when `offloadDir` cannot be written to, `resourceExhausted`, `invalidArgument`.
  static func makeTiers(
    _ configuration: EngineConfiguration, layout: KVLayout, memory: BlockMemory, mailbox: EngineMailbox,
    fileTier: (any BlockTier)?
  ) throws(ServingError) -> TierTransfers? {
    guard configuration.enablePrefixCaching else { return nil }
    var (host, file): ((any BlockTier)?, (any BlockTier)?) = (nil, fileTier)
    if configuration.swapSpace > 0 {
      host = try HostTier(blockBytes: memory.blockBytes, byteLimit: configuration.swapSpace)
    }
    if file == nil, let folder = configuration.offloadDir {
      file = try FileTier(folder: folder, blockBytes: memory.blockBytes, byteLimit: configuration.offloadSpace)
    }
    guard host != nil || file != nil else { return nil }
    return TierTransfers(
      host: host, file: file, layout: layout, memory: memory, threadCount: configuration.offloadNumThreads,
      mailbox: mailbox)
  }
}
