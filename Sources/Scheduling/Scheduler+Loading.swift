import KVCache
import ServingTypes

// Sequences whose next blocks lie in a tier below the pool, or at another worker: they hold all the blocks that they need and wait, off the
// queue, until these are filled; others go on meanwhile. The first to go when blocks are short.
extension Scheduler {
  /// Sequences that wait at once. More would not come up sooner.
  private static let maxLoading = 4
  /// Without an admission in between. Whoever was put back as often computes instead.
  private static let maxTurns: UInt32 = 3
  private static let grace = Duration.milliseconds(20)
  private static let unknownPatience = Duration.seconds(2)

  /// Whether another sequence may wait for its blocks now.
  var mayLoad: Bool { loading.count < Self.maxLoading }

  /// The end of the run of blocks, after those in the pool, that is worth bringing up before the sequence starts.
  func loadableEnd(of sequence: Sequence, after start: Int, isReceived: Bool) -> Int? {
    guard pool.hasTiers, sequence.loadTurns < Self.maxTurns, !sequence.group.lacksPromptLogits else { return nil }
    // The last token is computed for its logits; its block too, if it is full, rather than copied on write.
    let limit =
      isReceived
      ? sequence.hashes.count : min(sequence.hashes.count, (sequence.nextStop - 1) / configuration.blockSize)
    guard start < limit else { return nil }
    let count = pool.loadableCount(sequence.hashes[start..<limit], computeSeconds: computeSeconds)
    return count > 0 ? start + count : nil
  }

  /// The sequence starts without blocks from the tiers.
  func noteBypass(of sequence: Sequence, after start: Int) {
    guard pool.hasTiers, start < sequence.hashes.count else { return }
    pool.noteBypass(sequence.hashes[start])
  }

  /// What computing one block takes.
  var computeSeconds: Double? {
    costs.prefillTokenSeconds.map { $0 * Double(configuration.blockSize) }
  }

  /// The sequence has its prefix from the pool: gives it all the blocks that it needs, and lets it wait for the next.
  func load(_ sequence: Sequence, through end: Int, isReceived: Bool, now: ContinuousClock.Instant) {
    let tokens = isReceived ? sequence.group.prefixCount : sequence.tokens.count
    let start = sequence.table.count
    // It was found to fit.
    _ = pool.grow(&sequence.table, to: BlockTable.blockCount(tokens: tokens, blockSize: configuration.blockSize))
    sequence.loadTurns += 1
    sequence.status = .loading
    let compute = computeSeconds
    let patience = compute.map { .seconds($0 * 2 * Double(end - start)) + Self.grace } ?? Self.unknownPatience
    loadTurn &+= 1
    sequence.loading = LoadProgress(
      turn: loadTurn, next: start, end: end, deadline: now + patience, computeSeconds: compute)
    pool.touchTiers(sequence.hashes[start..<end])
    loading.append(sequence)
  }

  /// The next block to bring up, for whoever moves the bytes; it ends with `endLoad`.
  public func beginLoad() -> BlockLoad? {
    for sequence in loading {
      guard let progress = sequence.loading, progress.next < progress.end,
        progress.inFlight < configuration.prefetchBlocks
      else { continue }
      let index = progress.next
      guard let transfer = pool.beginLoad(sequence.hashes[index], to: sequence.table[index]) else {
        // The tier needed the room.
        cutLoading(of: sequence, at: index)
        continue
      }
      sequence.loading?.next += 1
      sequence.loading?.inFlight += 1
      return BlockLoad(sequence: sequence, turn: progress.turn, index: index, transfer: transfer)
    }
    return nil
  }

  /// A block came up and was verified, or it failed to, or nobody touches its memory any more.
  ///
  /// - Parameter failure: `slow` when it was called off.
  public func endLoad(_ load: BlockLoad, failure: TierFailure?, seconds: Double) {
    pool.endLoad(load.transfer, failure: failure, seconds: seconds)
    let sequence = load.sequence
    let isWanted = load.isWanted
    if sequence.loading?.turn == load.turn { sequence.loading?.inFlight -= 1 }
    guard failure == nil, isWanted else {
      // A hole: what lies behind it is computed.
      if isWanted { cutLoading(of: sequence, at: load.index) }
      return pool.countPrefetch(load.transfer, isUsed: false)
    }
    sequence.loading?.arrived[load.index] = load.transfer
    sealArrived(of: sequence)
  }

  /// Publishes the blocks that are here and have all blocks before them.
  func sealArrived(of sequence: Sequence) {
    while true {
      let index = sequence.sealedCount
      if let transfer = sequence.loading?.arrived.removeValue(forKey: index) {
        sealBlock(of: sequence, at: index, checksum: transfer.checksum)
        pool.countPrefetch(transfer, isUsed: true)
      } else if let checksum = sequence.loading?.fetch?.checksum(at: index) {
        sealBlock(of: sequence, at: index, checksum: checksum)
        sequence.loading?.fetch?.sealed += 1
        fetchStatistics.blocks += 1
      } else {
        return
      }
      sequence.sealedCount += 1
    }
  }

  /// Lets those go on that have their blocks, or will not wait any longer for them.
  func resumeLoaded(now: ContinuousClock.Instant) {
    guard !loading.isEmpty else { return }
    for sequence in loading {
      guard let progress = sequence.loading else { continue }
      if now >= progress.deadline, sequence.sealedCount < progress.end {
        pool.giveUpLoading(
          sequence.hashes[sequence.sealedCount], seconds: (progress.computeSeconds ?? Self.unknownPatience.seconds) * 2)
        cutLoading(of: sequence, at: sequence.sealedCount)
      }
      if let fetch = progress.fetch, now >= fetch.deadline { callOffFetch(of: sequence, .slow, now: now) }
    }
    for sequence in loading { resume(sequence, now: now) }
  }

  private func cutLoading(of sequence: Sequence, at end: Int) {
    guard let progress = sequence.loading, end < progress.end else { return }
    // Nothing that comes behind a hole is of use.
    callOffFetch(of: sequence, .unwanted, now: now)
    sequence.loading?.end = end
    for (index, transfer) in progress.arrived where index >= end {
      sequence.loading?.arrived[index] = nil
      pool.countPrefetch(transfer, isUsed: false)
    }
  }

  private func resume(_ sequence: Sequence, now: ContinuousClock.Instant) {
    // As long as bytes are on their way to its blocks, nothing else may be written there.
    guard let progress = sequence.loading, progress.inFlight == 0, sequence.sealedCount >= progress.end,
      progress.fetch?.isOver ?? true
    else { return }
    stopLoading(sequence)
    let group = sequence.group
    group.fetchedBlocks += progress.fetch?.sealed ?? 0
    sequence.computedCount = sequence.sealedCount * configuration.blockSize
    noteAdmission(of: sequence, now: now)
    if group.isReceived, !group.isForked {
      pool.release(&sequence.table, downTo: sequence.sealedCount)
      promise(group)
    } else {
      sequence.loadTurns = 0
      run(sequence)
    }
  }

  /// Takes the sequence off `loading`. What is still on its way comes back as not wanted.
  func stopLoading(_ sequence: Sequence) {
    guard let progress = sequence.loading else { return }
    callOffFetch(of: sequence, .unwanted, now: now)
    for transfer in progress.arrived.values { pool.countPrefetch(transfer, isUsed: false) }
    sequence.loading = nil
    loading.removeAll { $0 === sequence }
  }

  // MARK: Copies down

  /// See `BlockPool`.
  public func takeEvictionStore(of block: BlockID) -> TierTransfer? { pool.takeEvictionStore(of: block) }

  public func takeEvictionStore(of hash: BlockHash) -> TierTransfer? { pool.takeEvictionStore(of: hash) }

  public func takeEvictionStore() -> TierTransfer? { pool.takeEvictionStore() }

  public func dropEvicted(_ block: BlockID) { pool.dropEvicted(block) }

  public func beginStore(usesFile: Bool) -> TierTransfer? { pool.beginStore(usesFile: usesFile) }

  public func beginMove() -> TierTransfer? { pool.beginMove() }

  public func endCopy(of block: BlockID) { pool.endCopy(of: block) }

  public func endStore(_ transfer: TierTransfer, failure: TierFailure?) {
    pool.endStore(transfer, failure: failure)
  }
}
