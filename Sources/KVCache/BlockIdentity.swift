import ServingTypes

/// Which tokens a full block stands for.
public struct BlockIdentity: Hashable, Sendable {
  public var hash: BlockHash
  public var parent: BlockHash
  /// The hash of the first block of its chain.
  public var chain: BlockHash
  /// Index in its chain.
  public var depth: Int32

  public init(hash: BlockHash, parent: BlockHash, chain: BlockHash, depth: Int) {
    self.hash = hash
    self.parent = parent
    self.chain = chain
    self.depth = Int32(depth)
  }

  public var cachedBlock: CachedBlock { CachedBlock(hash: hash, chain: chain, depth: Int(depth)) }
}
