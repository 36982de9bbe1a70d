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
  /// - Returns: `[logitRows, batch.vocabularyPrefix ?? vocabularySize]`, `f32`, in the order of `batch.logitRows`; valid until
  ///   the next call.
  func forward(_ batch: ForwardBatch) throws(ServingError) -> UnsafeBufferPointer<Float>

  /// Whether passes may come in pieces.
  var runsPieces: Bool { get }

  /// Begins a pass that comes in pieces, in place of one under way; `forward` may be called between them.
  ///
  /// The results are those of `forward`. Until the last piece nothing else may read or write the blocks that it writes to;
  /// nothing has to end a pass that nobody carries on.
  func begin(_ batch: ForwardBatch) throws(ServingError)

  /// Computes the next piece of the pass that was begun: a small part of a layer.
  ///
  /// - Returns: nil until the last piece, and then as `forward` does, valid until the next call of `begin` or `advance`.
  func advance() throws(ServingError) -> UnsafeBufferPointer<Float>?

  /// Copies a block's contents, for copy-on-write.
  func copyBlock(from source: BlockID, to destination: BlockID)
}

extension ModelExecutor {
  /// An executor has passes in pieces only if it says so.
  public var runsPieces: Bool { false }

  /// Fails: there are no passes in pieces.
  public func begin(_ batch: ForwardBatch) throws(ServingError) {
    throw ServingError(.internalError, "this executor runs no passes in pieces")
  }

  /// Nothing was begun.
  public func advance() throws(ServingError) -> UnsafeBufferPointer<Float>? { nil }
}
