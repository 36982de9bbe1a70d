/// One full block in a worker's prefix cache, as it is announced to the directory.
public struct CachedBlock: Hashable, Sendable {
  /// The block's own chained hash.
  public var hash: BlockHash
  /// The hash of the first block of its chain, which decides where the directory keeps it.
  public var chain: BlockHash
  /// Blocks before it in the chain.
  public var depth: Int
  public var tier: CacheTier

  public init(hash: BlockHash, chain: BlockHash, depth: Int, tier: CacheTier = .device) {
    self.hash = hash
    self.chain = chain
    self.depth = depth
    self.tier = tier
  }
}
