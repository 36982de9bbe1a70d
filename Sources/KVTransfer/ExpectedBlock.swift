import ServingTypes

/// What the receiver knows of a block before it arrives, computed from its own copy of the prompt.
public struct ExpectedBlock: Hashable, Sendable {
  /// In the sequence, from 0.
  public var index: Int
  /// Nil for the tail.
  public var hash: BlockHash?
  public var parentHash: BlockHash
  public var tokenCount: Int
  /// The tail's tokens; empty for a full block.
  public var tokens: [TokenID]

  public init(index: Int, hash: BlockHash?, parentHash: BlockHash, tokenCount: Int, tokens: [TokenID]) {
    self.index = index
    self.hash = hash
    self.parentHash = parentHash
    self.tokenCount = tokenCount
    self.tokens = tokens
  }
}
