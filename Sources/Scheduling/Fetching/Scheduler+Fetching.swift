import KVCache
import ServingTypes

// Sequences whose next blocks another worker holds. They wait as those do whose blocks lie in a tier below the pool, which
// come first; what the tiers and the others do not bring is computed.
extension Scheduler {
  /// The end of the run of blocks after `start` that is worth fetching before the sequence starts.
  func fetchableEnd(of sequence: Sequence, after start: Int) -> Int? {
    let end = heldElsewhere(of: sequence)
    guard end - start >= max(1, configuration.fetchMinBlocks) else { return nil }
    if let computeSeconds, fetchCost.seconds(blocks: end - start) >= computeSeconds * Double(end - start) {
      return nil
    }
    return end
  }

  /// The end of the leading blocks that others hold; 0 where none may be asked for.
  private func heldElsewhere(of sequence: Sequence) -> Int {
    let group = sequence.group
    guard configuration.fetchMinBlocks > 0, pool.isCaching, group.fetchableBlocks > 0, !group.hasFetched,
      !group.lacksPromptLogits, group.isForked || !group.isReceived
    else { return 0 }
    // The last token is computed for its logits.
    return min(group.fetchableBlocks, sequence.hashes.count, (sequence.nextStop - 1) / configuration.blockSize)
  }

  /// The sequence starts without blocks from others.
  func noteFetchBypass(of sequence: Sequence, after start: Int) {
    guard heldElsewhere(of: sequence) - start >= max(1, configuration.fetchMinBlocks) else { return }
    sequence.group.hasFetched = true
    fetchStatistics.bypasses += 1
    fetchCost.fade()
  }

  /// The sequence waits for its blocks from the tiers: lets it wait for those behind them as well.
  func fetch(_ sequence: Sequence, through end: Int, now: ContinuousClock.Instant) {
    guard let start = sequence.loading?.end, start < end else { return }
    let blocks = Array(sequence.table.blocks[start..<end])
    for block in blocks { pool.pin(block) }
    let estimate = fetchCost.seconds(blocks: blocks.count)
    let deadline = now + max(configuration.fetchTimeout, .seconds(estimate * 2))
    nextFetch += 1
    fetches[nextFetch] = Fetch(
      sequence: sequence, start: start, blocks: blocks, began: now, deadline: deadline, estimate: estimate)
    sequence.loading?.fetch = FetchProgress(id: nextFetch, start: start, deadline: deadline)
    sequence.group.hasFetched = true
    newFetches.append(nextFetch)
    fetchStatistics.started += 1
  }

  /// The next blocks to fetch, for whoever asks other workers; it ends with `endFetch`, unless its claim is revoked.
  public func takeFetch() -> FetchOrder? {
    while !newFetches.isEmpty {
      let id = newFetches.removeFirst()
      guard let fetch = fetches[id] else { continue }
      return FetchOrder(
        id: id, sequence: fetch.sequence, start: fetch.start, blocks: fetch.blocks, claim: fetch.claim,
        deadline: fetch.deadline)
    }
    return nil
  }

  /// The next block of a fetch came and was verified; nobody writes to it any more.
  public func commitFetched(_ id: UInt64, checksum: UInt32, now: ContinuousClock.Instant) {
    guard let fetch = fetches[id], !fetch.isCalledOff, fetch.taken < fetch.blocks.count else { return }
    pool.unpin(fetch.blocks[fetch.taken])
    fetches[id]?.taken += 1
    fetch.sequence.loading?.fetch?.checksums.append(checksum)
    sealArrived(of: fetch.sequence)
    guard fetch.taken + 1 == fetch.blocks.count else { return }
    // Nobody waits for the last word.
    note(fetch, nil, now: now)
    fetches[id]?.isComplete = true
    fetch.sequence.loading?.fetch?.isOver = true
  }

  /// Nothing more comes of a fetch, and nobody touches its blocks any more.
  public func endFetch(_ id: UInt64, _ report: FetchReport, now: ContinuousClock.Instant) {
    guard let fetch = fetches[id] else { return }
    if !fetch.isCalledOff {
      if report.failure == .slow { penalise(fetch, now: now) } else { fetchCost.observe(report) }
      if !fetch.isComplete { note(fetch, report.failure ?? .short, now: now) }
    }
    forget(id)
  }

  /// Calls the fetch of a waiting sequence off. What came before stays.
  func callOffFetch(of sequence: Sequence, _ failure: FetchFailure, now: ContinuousClock.Instant) {
    guard let progress = sequence.loading?.fetch, let fetch = fetches[progress.id],
      !fetch.isCalledOff, !fetch.isComplete
    else { return }
    if failure == .slow { penalise(fetch, now: now) }
    note(fetch, failure, now: now)
    fetches[progress.id]?.isCalledOff = true
    // Else a block is being written: the end follows at once.
    if fetch.claim.revoke() { forget(progress.id) }
  }

  /// Time was up, whoever noticed it first.
  private func penalise(_ fetch: Fetch, now: ContinuousClock.Instant) {
    fetchCost.penalise(blocks: max(1, fetch.taken), seconds: (now - fetch.began).seconds)
  }

  private func note(_ fetch: Fetch, _ failure: FetchFailure?, now: ContinuousClock.Instant) {
    let seconds = (now - fetch.began).seconds
    fetchStatistics.seconds += seconds
    fetchStatistics.estimatedSeconds += fetch.estimate
    fetch.sequence.group.fetchSeconds += seconds
    if let failure { fetchStatistics.count(failure) } else { fetchStatistics.completed += 1 }
  }

  private func forget(_ id: UInt64) {
    guard let fetch = fetches.removeValue(forKey: id) else { return }
    for block in fetch.blocks[fetch.taken...] { pool.unpin(block) }
    if fetch.sequence.loading?.fetch?.id == id { fetch.sequence.loading?.fetch?.isOver = true }
  }

  /// What contradicts itself in the books of the fetches, if anything does.
  var fetchFault: String? {
    for (id, fetch) in fetches {
      if !fetch.isCalledOff, !fetch.isComplete, fetch.sequence.loading?.fetch?.id != id {
        return "fetch \(id) goes on, and nobody waits for it"
      }
      for block in fetch.blocks[fetch.taken...] where pool[block].pinCount == 0 {
        return "fetch \(id) fills block \(block), which nothing pins"
      }
    }
    for sequence in loading {
      if let progress = sequence.loading?.fetch, !progress.isOver, fetches[progress.id] == nil {
        return "sequence \(sequence.id) waits for fetch \(progress.id), which has ended"
      }
    }
    return nil
  }
}
