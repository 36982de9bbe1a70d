import ServingTypes

/// A block of the prefix cache, as it is announced to others.
public struct CachedBlock: Hashable, Sendable {
  public var hash: BlockHash
  /// The hash of the first block of its chain.
  public var chain: BlockHash
  /// The block's index in its chain, from 0.
  public var depth: Int

  public init(hash: BlockHash, chain: BlockHash, depth: Int) {
    self.hash = hash
    self.chain = chain
    self.depth = depth
  }
}
