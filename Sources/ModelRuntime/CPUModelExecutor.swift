import CKernels
import ServingTypes

/// Runs a model on the processor, over a pool of blocks that it owns.
public final class CPUModelExecutor: ModelExecutor {
  public struct Configuration: Hashable, Sendable {
    /// Tokens in a block, 8 to 64.
    public var blockSize: Int
    public var blockCount: Int
    /// The type that keys and values are stored in.
    public var kvDType: KVDType
    /// Kernel threads, the engine's own among them.
    public var threads: Int
    public var arithmetic: KernelArithmetic
    /// Nil chooses the fastest that the processor can run.
    public var path: KernelPath?
    /// Nil is the model's own; a longer one is refused.
    public var maximumContextLength: Int?
    /// Nil takes those that the model's metadata names.
    public var endOfGenerationTokens: [TokenID]?

    public init(
      blockSize: Int = 16, blockCount: Int, kvDType: KVDType = .f16, threads: Int,
      arithmetic: KernelArithmetic = .fast, path: KernelPath? = nil, maximumContextLength: Int? = nil,
      endOfGenerationTokens: [TokenID]? = nil
    ) {
      self.blockSize = blockSize
      self.blockCount = blockCount
      self.kvDType = kvDType
      self.threads = threads
      self.arithmetic = arithmetic
      self.path = path
      self.maximumContextLength = maximumContextLength
      self.endOfGenerationTokens = endOfGenerationTokens
    }
  }

  public let layout: KVLayout
  public let vocabularySize: Int
  public let maximumContextLength: Int
  public let endOfGenerationTokens: [TokenID]
  public let memory: BlockMemory
  private var transformer: Transformer
  /// Runs passes in pieces, beside the others; made when the first one begins.
  private var piecewise: Transformer?

  /// Maps the pool, which is committed as blocks are first written, and starts the kernel threads.
  ///
  /// - Parameter threadPool: threads shared with another executor of the same engine, instead of `configuration.threads` own ones.
  public init(
    weights: ModelWeights, configuration: Configuration, threadPool: ThreadPool? = nil
  ) throws(ServingError) {
    let model = weights.configuration
    guard (8...64).contains(configuration.blockSize) else {
      throw ServingError(.invalidArgument, "block_size is \(configuration.blockSize); 8 to 64 are possible")
    }
    let contextLength = configuration.maximumContextLength ?? model.contextLength
    guard (1...model.contextLength).contains(contextLength) else {
      throw ServingError(
        .invalidArgument, "max_model_len is \(contextLength); the model has a context of \(model.contextLength)")
    }
    let path = configuration.path ?? .best
    guard let kernels = path.kernels else {
      throw ServingError(.failedPrecondition, "this processor cannot run the \(path.rawValue) kernels")
    }
    let layout = Self.layout(
      weights, blockSize: configuration.blockSize, kvDType: configuration.kvDType, arithmetic: configuration.arithmetic)
    let memory = try BlockMemory(blockBytes: layout.blockBytes(), blockCount: configuration.blockCount)
    let threads = if let threadPool { threadPool } else { try ThreadPool(threadCount: configuration.threads) }
    transformer = Transformer(
      weights: weights, arithmetic: configuration.arithmetic, kernels: kernels,
      pool: threads, placement: try KVPlacement(memory: memory, layout: layout), contextLength: contextLength)
    self.layout = layout
    self.memory = memory
    vocabularySize = model.vocabularySize
    maximumContextLength = contextLength
    endOfGenerationTokens = configuration.endOfGenerationTokens ?? model.endOfGenerationTokens
  }

  /// What workers must agree on to share blocks of this model. Layers with a window are kept in full, in one group.
  public static func layout(
    _ weights: ModelWeights, blockSize: Int, kvDType: KVDType, arithmetic: KernelArithmetic,
    role: KVGroup.Role = .target
  ) -> KVLayout {
    let model = weights.configuration
    let group = KVGroup(
      role: role, layers: 0..<model.layerCount, kvHeads: model.kvHeadCount, headSize: model.headSize, dtype: kvDType)
    return KVLayout(
      modelFingerprint: weights.fingerprint, blockSize: blockSize, numerics: arithmetic.numerics, groups: [group])
  }

  /// Scratch memory that an executor of this model takes.
  ///
  /// - Parameters:
  ///   - contextLength: nil is the model's own.
  ///   - logitRows: the most tokens of one step whose logits are wanted.
  ///   - runsPieces: passes in pieces go on beside others.
  public static func scratchBytes(
    model: ModelConfiguration, threads: Int, contextLength: Int? = nil, logitRows: Int = 0, runsPieces: Bool = true
  ) -> Int {
    let contextLength = contextLength ?? model.contextLength
    let pass = TransformerScratch.byteCount(model, threads: threads, contextLength: contextLength)
    return pass * (runsPieces ? 2 : 1) + RotaryTable.byteCount(model, contextLength: contextLength)
      + logitRows * model.vocabularySize * MemoryLayout<Float>.size
  }

  /// What of it has been taken so far, without the logits.
  package var heldScratchBytes: Int {
    var count = transformer.scratchBytes + transformer.rotationBytes
    if piecewise != nil { count += piecewise?.scratchBytes ?? 0 }
    return count
  }

  public func forward(_ batch: ForwardBatch) throws(ServingError) -> UnsafeBufferPointer<Float> {
    try check(batch)
    return transformer.forward(batch)
  }

  public var runsPieces: Bool { true }

  public func begin(_ batch: ForwardBatch) throws(ServingError) {
    try check(batch)
    if piecewise == nil { piecewise = Transformer(beside: transformer) }
    piecewise?.begin(batch)
  }

  public func advance() -> UnsafeBufferPointer<Float>? { piecewise?.advance() }

  public func copyBlock(from source: BlockID, to destination: BlockID) {
    memory.bytes(of: destination).copyMemory(from: UnsafeRawBufferPointer(memory.bytes(of: source)))
  }

  /// Tokens and lengths come from requests, so they throw; block tables come from the cache, where a mistake is a bug.
  private func check(_ batch: ForwardBatch) throws(ServingError) {
    for token in batch.tokens where token < 0 || Int(token) >= vocabularySize {
      throw ServingError(.invalidArgument, "token \(token) is outside the vocabulary of \(vocabularySize)")
    }
    if let prefix = batch.vocabularyPrefix {
      precondition(prefix > 0 && prefix <= vocabularySize, "logits are wanted of tokens outside the vocabulary")
    }
    for block in batch.blockTable {
      precondition(block >= 0 && Int(block) < memory.blockCount, "a block table names a block outside the pool")
    }
    for segment in batch.segments {
      let end = segment.startPosition + segment.tokenCount
      guard segment.startPosition >= 0, end <= maximumContextLength else {
        throw ServingError(
          .invalidArgument, "a sequence of \(end) tokens is longer than the context of \(maximumContextLength)")
      }
      precondition(segment.blockCount * layout.blockSize >= end, "a block table does not cover its sequence")
    }
  }
}
