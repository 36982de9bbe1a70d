import ServingTypes

/// Runs forward passes over the block pool whose memory it owns: on the CPU, simulated, later on a GPU.
///
/// The cache and the scheduler know block ids only. Used from the engine's thread alone, but for `memory`, whose blocks
/// other threads read and write while they hold a pin on them.
public protocol ModelExecutor: AnyObject {
  var layout: KVLayout { get }
  var vocabularySize: Int { get }
  /// Tokens that a sequence may have, prompt and output together.
  var maximumContextLength: Int { get }
  /// Tokens that end a generation unless the request ignores them.
  var endOfGenerationTokens: [TokenID] { get }
  var memory: BlockMemory { get }

  /// Computes the batch: writes each token's keys and values to its block, then attends over what the table holds.
  ///
  /// - Returns: `[logitRows, vocabularySize]`, `f32`, in the order of `batch.logitRows`; valid until the next call.
  func forward(_ batch: ForwardBatch) throws(ServingError) -> UnsafeBufferPointer<Float>

  /// Copies a block's contents, for copy-on-write.
  func copyBlock(from source: BlockID, to destination: BlockID)
}
