import KVCache
import ServingTypes

// Groups whose prompt's blocks come from another worker.
extension Scheduler {
  /// Promises the blocks that the group lacks: nobody new is admitted on them, but running sequences may still grow.
  func promise(_ group: SequenceGroup) {
    group.leader.status = .receiving
    group.promisedBlocks = group.prefixBlocks(blockSize: configuration.blockSize) - group.leader.table.count
    promisedBlocks += group.promisedBlocks
    receiving.append(group)
    output.reserved.append(group)
  }

  /// Asks for block ids; they come in the output of a later step.
  ///
  /// - Returns: false when nothing was promised to the group.
  public func requestBlocks(for group: SequenceGroup) -> Bool {
    guard group.leader.status == .receiving else { return false }
    if !binding.contains(where: { $0 === group }) { binding.append(group) }
    return true
  }

  func bindReceived() {
    while let group = binding.first {
      let count = group.prefixBlocks(blockSize: configuration.blockSize)
      guard pool.grow(&group.leader.table, to: count) else { return }
      binding.removeFirst()
      withdrawPromise(group)
      group.isBound = true
      output.bound.append(group)
    }
  }

  private func withdrawPromise(_ group: SequenceGroup) {
    promisedBlocks -= group.promisedBlocks
    group.promisedBlocks = 0
  }

  func stopReceiving(_ group: SequenceGroup) {
    withdrawPromise(group)
    group.isBound = false
    receiving.removeAll { $0 === group }
    binding.removeAll { $0 === group }
  }

  /// A block of a bound group holds what it should: publishes it.
  public func commitReceived(_ group: SequenceGroup, index: Int, checksum: UInt32) {
    let leader = group.leader
    guard index >= 0, index < leader.hashes.count, index < leader.table.count else { return }
    sealBlock(of: leader, at: index, checksum: checksum)
  }

  /// The whole prefix is here: the group decodes from now on.
  public func finishReceiving(_ group: SequenceGroup) {
    let leader = group.leader
    stopReceiving(group)
    leader.computedCount = group.prefixCount
    leader.sealedCount = min(leader.hashes.count, group.prefixCount / configuration.blockSize)
    disclaim(leader)
    group.isReceived = false
    run(leader)
    fork(group)
  }

  /// The blocks will not come: the group queues for computing the prompt here. What was published is found again.
  public func computeHere(_ group: SequenceGroup) {
    guard group.isReceived, !group.isForked else { return }
    group.isReceived = false
    if group.leader.status == .receiving {
      stopReceiving(group)
      reset(group.leader)
      group.isReturning = true
      enqueue(group.leader)
    }
    if group.unfinishedCount == 1, group.sequences.count == 1 { group.isForked = true }
  }
}
