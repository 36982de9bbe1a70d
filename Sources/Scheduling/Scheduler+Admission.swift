import KVCache
import ServingTypes

extension Scheduler {
  /// Sequences that are looked up in the tiers in a step whose budget is spent.
  private static let maxProbes = 8

  /// Admits waiting sequences in order, until one does not fit.
  func admit(now: ContinuousClock.Instant, _ budget: inout Int, _ prefillBudget: inout Int) {
    sortWaiting()
    var slots = configuration.maxNumSeqs - sequencesInFlight
    var index = 0
    while index < waiting.count {
      let sequence = waiting[index]
      let group = sequence.group
      let isReceived = group.isReceived && !group.isForked
      index += 1
      // Whatever the budget is short of, blocks from elsewhere need none of it.
      let isBudgetSpent = !isReceived && (budget <= 0 || prefillBudget <= 0)
      if isBudgetSpent, !pool.hasTiers || index > Self.maxProbes { continue }
      let needed = group.isForked ? 1 : group.unfinishedCount
      guard needed <= slots else { break }
      if isAwaitingOthers(sequence) { continue }
      guard let prefix = fittingPrefix(of: sequence, isReceived: isReceived) else { break }
      if let loadEnd = loadableEnd(of: sequence, after: prefix.count, isReceived: isReceived) {
        guard mayLoad else { continue }
        index -= 1
        waiting.remove(at: index)
        slots -= needed
        take(prefix, for: sequence)
        load(sequence, through: loadEnd, isReceived: isReceived, now: now)
        continue
      }
      if isBudgetSpent { continue }
      if !isReceived, !canStart(sequence, after: prefix.count, budget: min(budget, prefillBudget)) { continue }
      index -= 1
      waiting.remove(at: index)
      slots -= needed
      noteBypass(of: sequence, after: prefix.count)
      take(prefix, for: sequence)
      noteAdmission(of: sequence, now: now)
      if isReceived {
        promise(group)
      } else {
        let rank = run(sequence)
        // All its blocks at once: a prompt under way never lacks one.
        _ = makeRoom(for: sequence, through: sequence.tokens.count, rank: rank)
        scheduleChunk(of: sequence, rank: rank, &budget, &prefillBudget)
      }
    }
  }

  /// Sequences that run or will without further admission.
  private var sequencesInFlight: Int {
    var count = receiving.reduce(0) { $0 + $1.unfinishedCount }
    for sequence in running + loading { count += sequence.group.isForked ? 1 : sequence.group.unfinishedCount }
    return count
  }

  /// Single flight: somebody else is bringing in the first block that is missing. An old request waits for nobody.
  private func isAwaitingOthers(_ sequence: Sequence) -> Bool {
    guard pool.isCaching, !sequence.group.isAged else { return false }
    if let awaited = sequence.awaited, pool.cache.isPending(awaited, besides: sequence.id) { return true }
    sequence.awaited = sequence.hashes.first { pool.cache.resident($0) == nil }
      .flatMap { pool.cache.isPending($0, besides: sequence.id) ? $0 : nil }
    guard sequence.awaited != nil else { return false }
    if !sequence.group.hasWaitedForOthers { singleFlightWaits += 1 }
    sequence.group.hasWaitedForOthers = true
    return true
  }

  /// The cached blocks to begin with, when the rest of the sequence fits beside what is promised.
  private func fittingPrefix(of sequence: Sequence, isReceived: Bool) -> [BlockID]? {
    let size = configuration.blockSize
    var prefix = pool.isCaching ? pool.cache.longestPrefix(sequence.hashes) : []
    let total = BlockTable.blockCount(
      tokens: isReceived ? sequence.group.prefixCount : sequence.tokens.count, blockSize: size)
    // A little room for the running ones to grow, lest they be preempted at once.
    let reserve = running.isEmpty ? 0 : max(1, pool.blockCount / 100)
    while true {
      // With everything cached, the last token is computed again for its logits, into a copy of its block.
      let copies = !isReceived && prefix.count * size >= sequence.nextStop ? 1 : 0
      let left = pool.availableCount - pool.availableCount(among: prefix) - promisedBlocks - reserve
      if total - prefix.count + copies <= left { return prefix }
      guard copies > 0 else {
        if total - prefix.count <= left + pool.copyingCount { lacksCopying = true }
        return nil
      }
      prefix.removeLast()
    }
  }

  /// Without chunked prefill a prompt starts only in a step that holds all of it.
  private func canStart(_ sequence: Sequence, after prefix: Int, budget: Int) -> Bool {
    guard !configuration.enableChunkedPrefill, !sequence.group.isLent else { return true }
    let room = min(configuration.maxNumBatchedTokens - configuration.maxNumSeqs, configuration.maxPrefillTokens)
    let left = max(1, sequence.tokens.count - prefix * configuration.blockSize)
    return left <= budget || left > room
  }

  private func take(_ prefix: [BlockID], for sequence: Sequence) {
    let size = configuration.blockSize
    let group = sequence.group
    pool.append(prefix, to: &sequence.table)
    let isWhole = prefix.count * size >= sequence.nextStop
    let mustCompute = isWhole && !(group.isReceived && !group.isForked)
    sequence.computedCount = mustCompute ? sequence.nextStop - 1 : prefix.count * size
    sequence.sealedCount = mustCompute ? prefix.count - 1 : prefix.count
    pool.claim(sequence.hashes[prefix.count...], owner: sequence.id)
    sequence.claimedEnd = pool.isCaching ? sequence.hashes.count : 0
    pool.countDeviceHits(prefix.count)
  }

  func noteAdmission(of sequence: Sequence, now: ContinuousClock.Instant) {
    let group = sequence.group
    if group.admitted == nil {
      group.admitted = now
      group.cachedCount = min(sequence.computedCount, group.prefixCount)
      if !group.isReceived { output.admitted.append(group) }
    }
  }

  // MARK: The queue

  private func sortWaiting() {
    guard !isWaitingSorted else { return }
    let policy = configuration.policy
    waiting.sort { left, right in
      let (a, b) = (left.group, right.group)
      if a.isAged != b.isAged { return a.isAged }
      if a.isAged { return left.id < right.id }
      if a.priority != b.priority { return a.priority > b.priority }
      if a.isReturning != b.isReturning { return a.isReturning }
      if a.isReturning || policy == .fifo { return left.id < right.id }
      return left.id > right.id
    }
    isWaitingSorted = true
  }

  /// Marks who waited long, and takes off the queue who waited too long.
  func refuseOverdue(now: ContinuousClock.Instant) {
    var isAnyOverdue = false
    for sequence in waiting {
      let group = sequence.group
      guard group.admitted == nil else { continue }
      let waited = now - group.arrival
      if !group.isAged, waited * 2 >= configuration.maxQueueWait {
        group.isAged = true
        isWaitingSorted = false
      }
      if waited >= configuration.maxQueueWait { isAnyOverdue = true }
    }
    guard isAnyOverdue else { return }
    let wait = configuration.maxQueueWait
    for group in waiting.map(\.group) where group.admitted == nil && now - group.arrival >= wait {
      output.refused.append(
        SchedulerOutput.Refusal(
          group: group,
          error: ServingError(
            .resourceExhausted, "the request waited \(wait) in the queue, the longest that is allowed",
            retryAfter: .seconds(1))))
      end(group)
    }
  }
}
