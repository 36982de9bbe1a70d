import ServingTypes

// Blocks below the pool. The books are kept here; whoever owns the threads carries the copies out and says how they ended.
extension BlockPool {
  /// Gives the pool tiers below it. Once, before it is used.
  ///
  /// - Parameter threshold: blocks are copied down while more than this share of the pool is in use or stored nowhere else.
  public mutating func addTiers(hostCapacity: Int, fileCapacity: Int, threshold: Double) {
    precondition(tiers == nil, "a pool is given tiers twice")
    guard isCaching, hostCapacity + fileCapacity > 0 else { return }
    tiers = TierBooks(hostCapacity: hostCapacity, fileCapacity: fileCapacity)
    offloadThreshold = threshold
    tierStatistics.hostCapacity = hostCapacity
    tierStatistics.fileCapacity = fileCapacity
  }

  public var hasTiers: Bool { tiers != nil }

  // MARK: Down

  mutating func markUnstored(_ block: BlockID, _ identity: BlockIdentity) {
    guard hasTiers, !blocks[Int(block)].isCopying, !isKept(identity.hash) else { return }
    blocks[Int(block)].isUnstored = true
    unstoredCount += 1
    guard !blocks[Int(block)].isListed else { return }
    blocks[Int(block)].isListed = true
    unstored.append(block)
  }

  mutating func markStored(_ block: BlockID) {
    guard blocks[Int(block)].isUnstored else { return }
    blocks[Int(block)].isUnstored = false
    unstoredCount -= 1
  }

  private func isKept(_ hash: BlockHash) -> Bool { tiers?.isKept(hash) == true }

  private func capacity(_ tier: CacheTier) -> Int { tiers?.capacity(tier) ?? 0 }

  private mutating func place(_ identity: BlockIdentity, checksum: UInt32, in tier: CacheTier) -> Int32? {
    guard let (slot, victim) = tiers?.place(identity, checksum: checksum, in: tier) else { return nil }
    slotUserCount += 1
    if let victim {
      let left = self.tier(of: victim.hash)
      if left == nil { tierStatistics.drops += 1 }
      // Until now it lay in this tier, or in a nearer one.
      noteChange(of: victim, from: left.map { min($0, tier) } ?? tier)
    }
    return slot
  }

  /// A cached block's memory is handed out: where no tier has it, it goes to host memory before anybody writes to it.
  mutating func keepEvicted(_ block: BlockID, _ identity: BlockIdentity) {
    markStored(block)
    guard capacity(.host) > 0, !isKept(identity.hash) else { return }
    let checksum = blocks[Int(block)].checksum
    guard let slot = place(identity, checksum: checksum, in: .host) else { return }
    precondition(evictionStores[block] == nil, "a block is evicted twice before it was copied")
    // Whoever reads the slot has it written first.
    tiers?.promise(identity.hash, in: .host)
    evictionStores[block] = TierTransfer(
      identity: identity, checksum: checksum, source: .device, sourceSlot: block, destination: .host,
      destinationSlot: slot)
    evictedBlocks[identity.hash] = block
  }

  /// The copy to be made before anything is written to a block that was handed out; nil when there is none. It ends with
  /// `endStore`.
  public mutating func takeEvictionStore(of block: BlockID) -> TierTransfer? {
    guard !evictionStores.isEmpty, let transfer = evictionStores.removeValue(forKey: block) else { return nil }
    evictedBlocks[transfer.identity.hash] = nil
    copyCount += 1
    tierStatistics.evictionStores += 1
    return transfer
  }

  /// The copy to be made before this block is read from host memory.
  public mutating func takeEvictionStore(of hash: BlockHash) -> TierTransfer? {
    evictedBlocks[hash].flatMap { takeEvictionStore(of: $0) }
  }

  /// Any of these copies, before it is urgent.
  public mutating func takeEvictionStore() -> TierTransfer? {
    evictionStores.keys.first.flatMap { takeEvictionStore(of: $0) }
  }

  /// Gives up what a block held that was handed out, where there is no time to copy it.
  public mutating func dropEvicted(_ block: BlockID) {
    guard let transfer = takeEvictionStore(of: block) else { return }
    tierStatistics.evictionStores -= 1
    // No other tier had it.
    tierStatistics.drops += 1
    endStore(transfer, failure: .slow)
  }

  /// The next cached block to copy down, least recently used first, while too much of the pool is stored nowhere else.
  ///
  /// - Parameter usesFile: the file takes blocks now.
  public mutating func beginStore(usesFile: Bool) -> TierTransfer? {
    guard hasTiers, Double(activeCount + unstoredCount) > offloadThreshold * Double(blockCount) else { return nil }
    let tier: CacheTier = capacity(.host) > 0 ? .host : .file
    guard tier == .host || usesFile else { return nil }
    while let block = unstored.popFirst() {
      blocks[Int(block)].isListed = false
      guard blocks[Int(block)].isUnstored, let identity = blocks[Int(block)].identity else { continue }
      markStored(block)
      if isKept(identity.hash) { continue }
      guard let slot = place(identity, checksum: blocks[Int(block)].checksum, in: tier) else { return nil }
      blocks[Int(block)].isCopying = true
      copyingQueueCount += 1
      copyCount += 1
      return TierTransfer(
        identity: identity, checksum: blocks[Int(block)].checksum, source: .device, sourceSlot: block,
        destination: tier, destinationSlot: slot)
    }
    return nil
  }

  /// The pool's block is not read any more.
  public mutating func endCopy(of block: BlockID) {
    precondition(blocks[Int(block)].isCopying, "block \(block) is not being copied")
    blocks[Int(block)].isCopying = false
    if queue.contains(block) { copyingQueueCount -= 1 }
  }

  /// The next block to copy from host memory to the file, while too much of host memory is stored nowhere else.
  public mutating func beginMove() -> TierTransfer? {
    guard capacity(.file) > 0, let unfiled = tiers?.unfiledCount,
      Double(unfiled) > offloadThreshold * Double(capacity(.host)), let next = tiers?.nextUnfiled()
    else { return nil }
    guard let slot = place(next.identity, checksum: next.checksum, in: .file) else {
      tiers?.putBack(unfiled: next.identity.hash)
      return nil
    }
    guard let source = tiers?.beginRead(next.identity.hash), source.tier == .host else {
      preconditionFailure("a block that is moved to the file is not in host memory")
    }
    slotUserCount += 1
    return TierTransfer(
      identity: next.identity, checksum: next.checksum, source: .host, sourceSlot: source.slot, destination: .file,
      destinationSlot: slot)
  }

  /// A copy down has ended.
  ///
  /// - Parameter failure: nil when the block is there now; `slow` when it was called off.
  public mutating func endStore(_ transfer: TierTransfer, failure: TierFailure?) {
    let hash = transfer.identity.hash
    noteChange(of: transfer.identity)
    slotUserCount -= 1
    if transfer.source == .device {
      copyCount -= 1
    } else {
      slotUserCount -= 1
      tiers?.endRead(hash, in: transfer.source, isBad: failure == .corrupt)
    }
    if let failure, failure != .slow { tierStatistics.count(failure) }
    if failure == nil {
      if transfer.destination == .host { tierStatistics.hostStores += 1 } else { tierStatistics.fileStores += 1 }
    }
    tiers?.endWrite(hash, in: transfer.destination, isGood: failure == nil)
  }

  // MARK: Up

  /// How many of these blocks, which follow on the pool's, are worth bringing up from the tiers.
  ///
  /// - Parameter computeSeconds: what computing one block takes; nil where nothing is known.
  public func loadableCount(_ hashes: some Sequence<BlockHash>, computeSeconds: Double?) -> Int {
    var count = 0
    for hash in hashes {
      guard let tier = tiers?.tier(of: hash) else { break }
      if let computeSeconds, let seconds = tiers?.loadSeconds(tier), seconds > computeSeconds { break }
      count += 1
    }
    return count
  }

  /// This block is computed even where a tier has it, because that was estimated to be faster.
  public mutating func noteBypass(_ hash: BlockHash) {
    guard let tier = tiers?.tier(of: hash) else { return }
    tierStatistics.bypassedPrefixes += 1
    tiers?.fade(tier)
  }

  /// Marks a run of blocks as used, its end first, so that it also goes first.
  public mutating func touchTiers(_ hashes: ArraySlice<BlockHash>) {
    guard tiers != nil else { return }
    for hash in hashes.reversed() { tiers?.touch(hash) }
  }

  /// Starts to bring a block up; pins the one that it goes to. Nil when no tier has it any more.
  public mutating func beginLoad(_ hash: BlockHash, to block: BlockID) -> TierTransfer? {
    guard let source = tiers?.beginRead(hash) else { return nil }
    pin(block)
    slotUserCount += 1
    tierStatistics.prefetchesStarted += 1
    return TierTransfer(
      identity: source.identity, checksum: source.checksum, source: source.tier, sourceSlot: source.slot,
      destination: .device, destinationSlot: block)
  }

  /// A load has ended: gives the pin and the slot back.
  ///
  /// - Parameters:
  ///   - failure: nil when the block was verified; `slow` when it was called off.
  ///   - seconds: what it took.
  public mutating func endLoad(_ transfer: TierTransfer, failure: TierFailure?, seconds: Double) {
    let isBad = failure != nil && failure != .slow
    let hash = transfer.identity.hash
    if isBad { noteChange(of: transfer.identity) }
    tiers?.endRead(hash, in: transfer.source, isBad: isBad)
    slotUserCount -= 1
    unpin(transfer.destinationSlot)
    if failure == nil { tiers?.observeLoad(transfer.source, seconds: seconds) }
    if let failure, failure != .slow { tierStatistics.count(failure) }
  }

  /// Bringing blocks up took so long that computing goes first.
  ///
  /// - Parameter seconds: what one block of that tier is taken to need from now on.
  public mutating func giveUpLoading(_ hash: BlockHash, seconds: Double) {
    tierStatistics.count(.slow)
    if let tier = tiers?.tier(of: hash) { tiers?.penalise(tier, seconds: seconds) }
  }

  /// Counts blocks of an admitted prefix that lay in the pool.
  public mutating func countDeviceHits(_ count: Int) {
    if tiers != nil { tierStatistics.deviceHits += UInt64(count) }
  }

  /// A block that was brought up is part of a prefix now, or was not needed.
  public mutating func countPrefetch(_ transfer: TierTransfer, isUsed: Bool) {
    guard isUsed else {
      tierStatistics.prefetchesWasted += 1
      return
    }
    tierStatistics.prefetchesUsed += 1
    if transfer.source == .host { tierStatistics.hostHits += 1 } else { tierStatistics.fileHits += 1 }
  }

  /// With the gauges as they are now.
  public var currentTierStatistics: TierStatistics {
    var statistics = tierStatistics
    statistics.hostBlocks = tiers?.count(.host) ?? 0
    statistics.fileBlocks = tiers?.count(.file) ?? 0
    return statistics
  }
}
