import ServingTypes

/// The tokens of one step: decode tokens, drafts and prefill chunks of many sequences, each with its block table.
///
/// Flat arrays that are kept from step to step: `removeAll` keeps the capacity, so that a step allocates nothing.
public struct ForwardBatch {
  /// One sequence's part of the batch.
  public struct Segment {
    /// Where the segment's tokens lie in `tokens`.
    public var tokenOffset: Int
    public var tokenCount: Int
    /// The position of the segment's first token: that many tokens lie in the blocks already.
    public var startPosition: Int
    /// Where the segment's block table lies in `blockTable`; it covers `startPosition + tokenCount` tokens.
    public var blockOffset: Int
    public var blockCount: Int

    /// Where they lie in `tokens`.
    public var tokenRange: Range<Int> { tokenOffset..<tokenOffset + tokenCount }

    public init(tokenOffset: Int, tokenCount: Int, startPosition: Int, blockOffset: Int, blockCount: Int) {
      self.tokenOffset = tokenOffset
      self.tokenCount = tokenCount
      self.startPosition = startPosition
      self.blockOffset = blockOffset
      self.blockCount = blockCount
    }
  }

  public private(set) var tokens: [TokenID] = []
  public private(set) var blockTable: [BlockID] = []
  public private(set) var segments: [Segment] = []
  /// Indices in `tokens`, ascending, of the tokens whose logits are wanted.
  public private(set) var logitRows: [Int] = []
  /// How many of the vocabulary's first tokens get logits; nil: all. A row of logits is that wide.
  public var vocabularyPrefix: Int?

  public init() {}

  /// Adds a sequence's tokens from `startPosition` on; the logits of its last `logitCount` tokens are wanted.
  public mutating func append(
    tokens newTokens: some Collection<TokenID>, startPosition: Int, blocks: some Collection<BlockID>, logitCount: Int
  ) {
    precondition(logitCount >= 0 && logitCount <= newTokens.count, "more logits than tokens")
    segments.append(
      Segment(
        tokenOffset: tokens.count, tokenCount: newTokens.count, startPosition: startPosition,
        blockOffset: blockTable.count, blockCount: blocks.count))
    tokens.append(contentsOf: newTokens)
    blockTable.append(contentsOf: blocks)
    logitRows.append(contentsOf: tokens.count - logitCount..<tokens.count)
  }

  public mutating func removeAll() {
    tokens.removeAll(keepingCapacity: true)
    blockTable.removeAll(keepingCapacity: true)
    segments.removeAll(keepingCapacity: true)
    logitRows.removeAll(keepingCapacity: true)
    vocabularyPrefix = nil
  }
}
