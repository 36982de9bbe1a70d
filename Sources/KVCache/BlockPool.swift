import ServingTypes

/// The states of all blocks: who references them, who pins them, which tokens they stand for.
///
/// The memory itself is the executor's. One thread at a time.
/// - SeeAlso: vLLM v1's `BlockPool`.
public struct BlockPool {
  public let blockCount: Int
  /// Off: sealed blocks are not kept for others.
  public let isCaching: Bool
  public private(set) var cache: PrefixCache
  var blocks: [KVBlock]
  var queue: FreeBlockQueue
  private var log: CacheChangeLog
  /// Nil where there is nothing below the pool.
  var tiers: TierBooks?
  /// Share of the pool in use or not stored elsewhere beyond which cached blocks are copied down.
  var offloadThreshold = 1.0
  /// Blocks that became unused and are in no tier, the oldest first; those that no longer are so are skipped.
  var unstored = WorkQueue<BlockID>()
  var unstoredCount = 0
  /// Blocks in the queue that cannot be handed out yet.
  var copyingQueueCount = 0
  /// Copies that read blocks of the pool, and copies that use slots of tiers.
  var copyCount = 0
  var slotUserCount = 0
  /// By block, whose memory was handed out: to be copied before anybody writes to it.
  var evictionStores: [BlockID: TierTransfer] = [:]
  /// The same by what the block held.
  var evictedBlocks: [BlockHash: BlockID] = [:]
  public internal(set) var tierStatistics = TierStatistics()
  /// Pins that have not come back.
  public private(set) var pinTotal = 0
  public private(set) var pinnedCount = 0
  private var cachedQueueCount = 0
  public private(set) var evictions: UInt64 = 0

  public init(blockCount: Int, isCaching: Bool = true, logLimit: Int = 16384) {
    self.blockCount = blockCount
    self.isCaching = isCaching
    cache = PrefixCache()
    log = CacheChangeLog(limit: logLimit)
    blocks = [KVBlock](repeating: KVBlock(), count: blockCount)
    queue = FreeBlockQueue(blockCount: blockCount)
    for block in 0..<blockCount { queue.append(BlockID(block)) }
  }

  public subscript(block: BlockID) -> KVBlock { blocks[Int(block)] }

  /// Blocks that can be allocated, cached ones included.
  public var availableCount: Int { queue.count - copyingQueueCount }
  /// Unused blocks that cannot be allocated before a tier has copied them.
  public var copyingCount: Int { copyingQueueCount }
  public var activeCount: Int { blockCount - queue.count }
  public var cachedCount: Int { cachedQueueCount }
  public var freeCount: Int { queue.count - cachedQueueCount }

  /// For checks; O(n).
  var queueOrder: [BlockID]? { queue.orderedBlocks() }

  // MARK: References and pins

  /// A block with one reference and contents of no meaning; the least recently used cached one when none is free.
  public mutating func allocate() -> BlockID? {
    guard let block = firstAvailable else { return nil }
    queue.remove(block)
    if let identity = blocks[Int(block)].identity {
      noteChange(of: identity)
      keepEvicted(block, identity)
      cache.withdraw(identity)
      blocks[Int(block)].identity = nil
      cachedQueueCount -= 1
      evictions += 1
    }
    blocks[Int(block)].referenceCount = 1
    return block
  }

  private var firstAvailable: BlockID? {
    var candidate = queue.first
    while let block = candidate, blocks[Int(block)].isCopying { candidate = queue.next(after: block) }
    return candidate
  }

  public mutating func retain(_ block: BlockID) {
    leaveQueue(block)
    blocks[Int(block)].referenceCount += 1
  }

  public mutating func release(_ block: BlockID) {
    precondition(blocks[Int(block)].referenceCount > 0, "block \(block) is not referenced")
    blocks[Int(block)].referenceCount -= 1
    enterQueue(block)
  }

  /// Keeps the block from being reused while a transfer reads or writes its bytes.
  public mutating func pin(_ block: BlockID) {
    leaveQueue(block)
    if blocks[Int(block)].pinCount == 0 { pinnedCount += 1 }
    blocks[Int(block)].pinCount += 1
    pinTotal += 1
  }

  public mutating func unpin(_ block: BlockID) {
    precondition(blocks[Int(block)].pinCount > 0, "block \(block) is not pinned")
    blocks[Int(block)].pinCount -= 1
    if blocks[Int(block)].pinCount == 0 { pinnedCount -= 1 }
    pinTotal -= 1
    enterQueue(block)
  }

  private mutating func leaveQueue(_ block: BlockID) {
    guard queue.contains(block) else { return }
    queue.remove(block)
    if blocks[Int(block)].identity != nil { cachedQueueCount -= 1 }
    if blocks[Int(block)].isCopying { copyingQueueCount -= 1 }
    markStored(block)
  }

  private mutating func enterQueue(_ block: BlockID) {
    guard blocks[Int(block)].state != .active else { return }
    guard let identity = blocks[Int(block)].identity else { return queue.prepend(block) }
    cachedQueueCount += 1
    if blocks[Int(block)].isCopying { copyingQueueCount += 1 }
    markUnstored(block, identity)
    // A chain is evicted from its tail: a block goes before the nearest of its ancestors that is there already.
    var ancestor = cache.resident(identity.parent)
    while let other = ancestor {
      if queue.contains(other) { return queue.insert(block, before: other) }
      // A table that holds the ancestor holds all before it as well; pins, which may end in any order, do not.
      guard blocks[Int(other)].referenceCount == 0 else { break }
      ancestor = blocks[Int(other)].identity.flatMap { cache.resident($0.parent) }
    }
    queue.append(block)
  }

  // MARK: The prefix cache

  /// Records a full block's checksum and publishes it under its hash.
  ///
  /// - Returns: the block that the cache keeps for these tokens: another one when they were sealed before.
  public mutating func seal(_ block: BlockID, as identity: BlockIdentity, checksum: UInt32) -> BlockID {
    precondition(blocks[Int(block)].state == .active, "block \(block) is sealed by nobody")
    blocks[Int(block)].checksum = checksum
    guard isCaching else { return block }
    if let resident = cache.resident(identity.hash) { return resident }
    precondition(blocks[Int(block)].identity == nil, "block \(block) is sealed already")
    blocks[Int(block)].identity = identity
    noteChange(of: identity)
    cache.publish(identity, block: block)
    return block
  }

  public mutating func claim(_ hashes: some Sequence<BlockHash>, owner: UInt64) {
    if isCaching { cache.claim(hashes, owner: owner) }
  }

  public mutating func disclaim(_ hashes: some Sequence<BlockHash>, owner: UInt64) {
    if isCaching { cache.disclaim(hashes, owner: owner) }
  }

  /// What entered and left the cache or moved to another tier since the last call, or everything after an overflow of
  /// the log.
  public mutating func takeCacheChanges() -> CacheChanges {
    let (cache, tiers) = (cache, tiers)
    let changes = log.take { cache.resident($0) != nil ? .device : tiers?.tier(of: $0) }
    if let changes { return changes }
    var added = blocks.compactMap { $0.identity?.cachedBlock }
    added += (tiers?.held ?? []).filter { cache.resident($0.hash) == nil }
    return CacheChanges(isResync: true, added: added.sorted(by: CacheChangeLog.ancestorsFirst))
  }

  /// Call it before a block of these tokens comes, goes, or moves to another tier.
  mutating func noteChange(of identity: BlockIdentity) { log.note(identity, tier: tier(of: identity.hash)) }

  mutating func noteChange(of identity: BlockIdentity, from tier: CacheTier) { log.note(identity, tier: tier) }

  /// The nearest tier that has the block.
  public func tier(of hash: BlockHash) -> CacheTier? {
    cache.resident(hash) != nil ? .device : tiers?.tier(of: hash)
  }

  // MARK: Block tables

  /// Blocks among `blocks` that are in the queue and so would leave it by being retained.
  public func availableCount(among blocks: some Sequence<BlockID>) -> Int {
    blocks.reduce(0) { $0 + (queue.contains($1) && !self.blocks[Int($1)].isCopying ? 1 : 0) }
  }

  /// Adds shared blocks to the table's end.
  public mutating func append(_ shared: some Sequence<BlockID>, to table: inout BlockTable) {
    for block in shared {
      retain(block)
      table.blocks.append(block)
    }
  }

  /// Allocates until the table has `count` blocks. All or nothing.
  public mutating func grow(_ table: inout BlockTable, to count: Int) -> Bool {
    guard count - table.count <= availableCount else { return false }
    while table.count < count, let block = allocate() { table.blocks.append(block) }
    return true
  }

  /// Whether writing to the table's block would be seen by others.
  public func isShared(_ table: BlockTable, at index: Int) -> Bool {
    let block = blocks[Int(table.blocks[index])]
    return block.referenceCount > 1 || block.pinCount > 0 || block.identity != nil
  }

  /// Replaces a shared block of the table by a private one, whose contents the caller must copy. Nil when none is free.
  public mutating func copyOnWrite(_ table: inout BlockTable, at index: Int) -> BlockCopy? {
    guard let destination = allocate() else { return nil }
    let source = table.blocks[index]
    table.blocks[index] = destination
    release(source)
    return BlockCopy(source: source, destination: destination)
  }

  /// Replaces the table's block by one with the same contents.
  public mutating func replace(_ table: inout BlockTable, at index: Int, with other: BlockID) {
    retain(other)
    release(table.blocks[index])
    table.blocks[index] = other
  }

  /// Drops the table's references from its end down to `count` blocks, so that the tail of a chain is evicted first.
  public mutating func release(_ table: inout BlockTable, downTo count: Int = 0) {
    while table.count > count { release(table.blocks.removeLast()) }
  }
}
