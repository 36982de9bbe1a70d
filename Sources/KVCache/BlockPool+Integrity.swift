import ServingTypes

extension BlockPool {
  /// The first cached block that would be evicted before one that continues it. That would cost hits, nothing else. O(n).
  public var misplacedBlock: BlockID? {
    var passed = Set<BlockID>()
    for block in queueOrder ?? [] {
      passed.insert(block)
      if let identity = self[block].identity, let parent = cache.resident(identity.parent), passed.contains(parent) {
        return parent
      }
    }
    return nil
  }

  /// Proves that the books agree with each other and with the block tables that exist.
  ///
  /// - Parameters:
  ///   - references: for each block the number of tables that contain it.
  ///   - pins: pins that are out.
  /// - Throws: `internalError` that names the block and what is wrong with it. O(blocks).
  public func checkIntegrity(references: [Int], pins: Int) throws(ServingError) {
    func require(_ holds: Bool, _ message: @autoclosure () -> String) throws(ServingError) {
      if !holds { throw ServingError(.internalError, "block pool: \(message())") }
    }
    guard let order = queueOrder else {
      throw ServingError(.internalError, "block pool: the free queue's links contradict each other")
    }
    var place = [Int](repeating: -1, count: blockCount)
    for (index, block) in order.enumerated() { place[Int(block)] = index }
    var (pinSum, pinned, cached) = (0, 0, 0)
    for index in 0..<blockCount {
      let block = self[BlockID(index)]
      try require(
        Int(block.referenceCount) == references[index],
        "block \(index) counts \(block.referenceCount) references; \(references[index]) tables contain it")
      try require(block.pinCount >= 0, "block \(index) has \(block.pinCount) pins")
      try require(
        (place[index] >= 0) == (block.state != .active),
        "block \(index) is \(block.state) and \(place[index] >= 0 ? "" : "not ")in the free queue")
      pinSum += Int(block.pinCount)
      if block.pinCount > 0 { pinned += 1 }
      if block.state == .cached { cached += 1 }
      guard let identity = block.identity else { continue }
      try require(
        cache.resident(identity.hash) == BlockID(index), "block \(index) is sealed and the cache does not have it")
    }
    try require(pinSum == pins && pinTotal == pins, "\(pinSum) pins are counted, \(pinTotal) in total; \(pins) are out")
    try require(pinned == pinnedCount, "\(pinned) blocks are pinned; \(pinnedCount) are counted")
    try require(cached == cachedCount, "\(cached) blocks are cached; \(cachedCount) are counted")
    let unstored = blocks.reduce(0) { $0 + ($1.isUnstored ? 1 : 0) }
    try require(unstored == unstoredCount, "\(unstored) blocks are stored nowhere else; \(unstoredCount) are counted")
    let copying = order.reduce(0) { $0 + (self[$1].isCopying ? 1 : 0) }
    try require(copying == copyingQueueCount, "\(copying) blocks are being copied; \(copyingQueueCount) are counted")
    for block in blocks where block.isUnstored {
      try require(block.state == .cached, "a block that is \(block.state) waits to be copied down")
    }
    try require(
      evictedBlocks.count == evictionStores.count,
      "\(evictionStores.count) evicted blocks are to be copied down; \(evictedBlocks.count) are found by hash")
    for (block, transfer) in evictionStores {
      try require(
        self[block].identity == nil && evictedBlocks[transfer.identity.hash] == block,
        "block \(block) was sealed again before what it held was copied down")
    }
    if let fault = tiers?.fault(users: slotUserCount) { throw ServingError(.internalError, "tiers: \(fault)") }
    let residents = cache.residents
    try require(
      residents.count == cache.residentCount, "\(residents.count) blocks are resident; \(cache.residentCount) counted")
    for (hash, block) in residents {
      try require(self[block].identity?.hash == hash, "the cache has \(hash) in block \(block), which holds another")
    }
  }
}
