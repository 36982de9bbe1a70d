import KVCache
import ServingTypes

// What a step's results change.
extension Scheduler {
  /// The sequence's leading `count` tokens are computed; seals the blocks that this filled.
  ///
  /// - Parameter checksum: of a block's bytes; called only for blocks that are kept or lent.
  public func advance(_ sequence: Sequence, to count: Int, checksum: (BlockID) -> UInt32) {
    sequence.computedCount = count
    let group = sequence.group
    if group.lacksPromptLogits {
      group.promptLogitsDone = max(group.promptLogitsDone, min(count, group.promptLogitCount))
    }
    guard pool.isCaching || sequence.group.isLent else { return }
    let size = configuration.blockSize
    while (sequence.sealedCount + 1) * size <= count {
      let index = sequence.sealedCount
      if index == sequence.hashes.count {
        let parent = index == 0 ? sequence.group.root : sequence.hashes[index - 1]
        sequence.hashes.append(parent.child(tokens: sequence.tokens[index * size..<(index + 1) * size]))
      }
      sealBlock(of: sequence, at: index, checksum: checksum(sequence.table[index]))
      sequence.sealedCount += 1
    }
  }

  func sealBlock(of sequence: Sequence, at index: Int, checksum: UInt32) {
    let identity = BlockIdentity(
      hash: sequence.hashes[index], parent: index == 0 ? sequence.group.root : sequence.hashes[index - 1],
      chain: sequence.hashes[0], depth: index)
    let own = sequence.table[index]
    if pool[own].identity?.hash == identity.hash { return }
    let kept = pool.seal(own, as: identity, checksum: checksum)
    // A block that was sealed before is kept once, unless somebody still uses this one's bytes.
    if kept != own, pool[own].referenceCount == 1, pool[own].pinCount == 0 {
      pool.replace(&sequence.table, at: index, with: kept)
    }
  }

  /// The prefix is computed: every other sample shares its blocks, and goes its own way from there.
  public func fork(_ group: SequenceGroup) {
    guard !group.isForked else { return }
    group.isForked = true
    let leader = group.leader
    let size = configuration.blockSize
    let shared = leader.table.blocks.prefix(group.prefixBlocks(blockSize: size))
    for sequence in group.sequences where sequence.status == .pending {
      pool.append(shared, to: &sequence.table)
      sequence.computedCount = group.prefixCount
      sequence.sealedCount = min(group.prefixCount / size, leader.sealedCount)
      sequence.hashes = Array(leader.hashes.prefix(group.prefixCount / size))
      run(sequence)
    }
  }

  /// The sequence produces nothing more: gives its blocks back.
  public func finish(_ sequence: Sequence) {
    remove(sequence)
    reset(sequence)
    sequence.status = .finished
  }

  /// Finishes every sequence of the group and forgets it, whatever it was doing.
  public func end(_ group: SequenceGroup) {
    if group.isReceived { stopReceiving(group) }
    for sequence in group.sequences where sequence.status != .finished { finish(sequence) }
    if let share = group.share { fairShare.close(share) }
    group.share = nil
    // Breaks the cycle of references.
    group.sequences.removeAll()
  }

  /// Pins a block of the sequence for a transfer; the pin comes back through `unpin`.
  public func pin(_ block: BlockID) { pool.pin(block) }

  public func unpin(_ block: BlockID) { pool.unpin(block) }

  /// Pins the longest leading run of the hashes that is resident.
  public func pinPrefix(_ hashes: [BlockHash]) -> [BlockID] {
    let blocks = pool.cache.longestPrefix(hashes)
    for block in blocks { pool.pin(block) }
    return blocks
  }

  public func takeCacheChanges() -> CacheChanges { pool.takeCacheChanges() }

  /// Tokens of waiting and running sequences that are to be computed before they can decode.
  public var pendingPrefillTokens: Int {
    var count = 0
    for sequence in waiting where !sequence.group.isReceived { count += sequence.tokens.count }
    for sequence in running where !sequence.isDecoding { count += sequence.remainingCount }
    for sequence in loading { count += sequence.remainingCount }
    return count
  }

  /// Proves that every block is accounted for by the sequences that exist and the pins that are out.
  ///
  /// - Throws: `internalError` that says what is wrong.
  public func checkIntegrity(pins: Int) throws(ServingError) {
    var references = [Int](repeating: 0, count: pool.blockCount)
    for sequence in running + receiving.map(\.leader) + loading {
      for block in sequence.table.blocks { references[Int(block)] += 1 }
    }
    for sequence in waiting where !sequence.table.isEmpty {
      throw ServingError(.internalError, "scheduler: a waiting sequence holds \(sequence.table.count) blocks")
    }
    try pool.checkIntegrity(references: references, pins: pins)
    try checkSlices()
    let promised = receiving.reduce(0) { $0 + $1.promisedBlocks }
    if promised != promisedBlocks {
      throw ServingError(.internalError, "scheduler: \(promised) blocks are promised; \(promisedBlocks) are counted")
    }
    if let fault = fetchFault { throw ServingError(.internalError, "scheduler: \(fault)") }
    if running.isEmpty, receiving.isEmpty, loading.isEmpty, pool.cache.pendingCount != 0 {
      throw ServingError(
        .internalError, "scheduler: \(pool.cache.pendingCount) pending entries have no owner that runs")
    }
  }
}
