import KVCache
import ServingTypes

extension Scheduler {
  /// Sequences that are looked up in the tiers in a step whose budget is spent.
  private static let maxProbes = 8

  /// Admits waiting sequences in order, until one does not fit.
  ///
  /// Slots and blocks go strictly in that order. For a step's tokens a prompt that fits passes one that does not, once one
  /// long prompt beside the oldest is under way.
  func admit(now: ContinuousClock.Instant, _ turn: inout PromptTurn, _ budget: inout StepBudget) {
    var slots = configuration.maxNumSeqs - sequencesInFlight
    guard slots > 0, !waiting.isEmpty else { return }
    sortWaiting()
    let order = admissionOrder(slots: slots)
    for (index, sequence) in order.enumerated() {
      let group = sequence.group
      let isReceived = group.isReceived && !group.isForked
      // Whatever the budget is short of, blocks from elsewhere need none of it.
      let isBudgetSpent = !isReceived && budget.prompt <= 0
      if isBudgetSpent, !pool.hasTiers && group.fetchableBlocks == 0 || index >= Self.maxProbes {
        noteShortfall(of: sequence, turn)
        continue
      }
      let needed = group.isForked ? 1 : group.unfinishedCount
      guard needed <= slots else { break }
      if isAwaitingOthers(sequence) { continue }
      guard let prefix = fittingPrefix(of: sequence, isReceived: isReceived) else { break }
      let left = max(1, sequence.nextStop - prefix.count * configuration.blockSize)
      let loadEnd = loadableEnd(of: sequence, after: prefix.count, isReceived: isReceived)
      let fetchEnd = fetchableEnd(of: sequence, after: loadEnd ?? prefix.count)
      if let end = fetchEnd ?? loadEnd {
        guard mayLoad else { continue }
        leaveQueue(sequence, cost: max(1, sequence.nextStop - end * configuration.blockSize))
        slots -= needed
        take(prefix, for: sequence)
        load(sequence, through: loadEnd ?? prefix.count, isReceived: isReceived, now: now)
        if let fetchEnd { fetch(sequence, through: fetchEnd, now: now) }
        continue
      }
      if isBudgetSpent {
        noteShortfall(of: sequence, turn)
        continue
      }
      if !isReceived {
        // Shorter ones under way go first, unless it would be passed over anyway.
        if canStart(sequence, tokens: left, turn, budget) { scheduleOthers(upTo: left, &turn, &budget) }
        guard canStart(sequence, tokens: left, turn, budget) else {
          if hasToWait(sequence, tokens: left, turn, budget) { break }
          continue
        }
      }
      leaveQueue(sequence, cost: left)
      slots -= needed
      noteBypass(of: sequence, after: prefix.count)
      noteFetchBypass(of: sequence, after: prefix.count)
      take(prefix, for: sequence)
      noteAdmission(of: sequence, now: now)
      if isReceived {
        promise(group)
        continue
      }
      let rank = run(sequence)
      // All its blocks at once: a prompt under way never lacks one.
      _ = makeRoom(for: sequence, through: configuration.reservation.tokens(sequence.tokens.count), rank: rank)
      if configuration.enableChunkedPrefill, turn.oldest == nil, left > budget.prompt {
        reserve(for: sequence, isAlone: index + 1 == order.count, &turn, &budget)
      } else {
        scheduleChunk(of: sequence, rank: rank, &budget)
      }
    }
  }

  /// The queue, with tenants taking turns among requests of equal priority where that is wanted.
  private func admissionOrder(slots: Int) -> [Sequence] {
    guard configuration.fairShare == .deficitRoundRobin else { return waiting }
    var order: [Sequence] = []
    order.reserveCapacity(waiting.count)
    var turn = fairShare.beginPlan()
    var candidates: [Sequence] = []
    func planCandidates() {
      // Some may be passed over; nobody needs an order for all.
      if !candidates.isEmpty { fairShare.plan(candidates, turn: &turn, limit: slots + 16, into: &order) }
      candidates.removeAll(keepingCapacity: true)
    }
    var priority: Int?
    for sequence in waiting {
      let group = sequence.group
      // Aged ones come first, and share with the highest priority: a tenant's own age must not take others' turns.
      if !group.isAged, group.priority != priority {
        if priority != nil { planCandidates() }
        priority = group.priority
      }
      if group.isReturning { order.append(sequence) } else { candidates.append(sequence) }
    }
    planCandidates()
    return order
  }

  private func leaveQueue(_ sequence: Sequence, cost: Int) {
    // What is computed again after a preemption was paid for.
    if let share = sequence.group.share, !sequence.group.isReturning { fairShare.admit(share, cost: cost) }
    leaveQueue(sequence)
  }

  /// Sequences that run or will without further admission.
  private var sequencesInFlight: Int {
    var count = receiving.reduce(0) { $0 + $1.unfinishedCount }
    for sequence in running + loading { count += sequence.group.isForked ? 1 : sequence.group.unfinishedCount }
    return count
  }

  /// Single flight: somebody else is bringing in the first block that is missing. An old request waits for nobody.
  private func isAwaitingOthers(_ sequence: Sequence) -> Bool {
    guard pool.isCaching, !sequence.group.isAged, !sequence.group.lacksPromptLogits else { return false }
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
    // Cached blocks give no logits.
    var prefix = pool.isCaching && !sequence.group.lacksPromptLogits ? pool.cache.longestPrefix(sequence.hashes) : []
    let total = BlockTable.blockCount(
      tokens: isReceived ? sequence.group.prefixCount : configuration.reservation.tokens(sequence.tokens.count),
      blockSize: size)
    let reserve = growthReserve
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

  /// Blocks that stay free at an admission, so that the running sequences can grow: else whoever comes is preempted soon,
  /// and what it computed is lost. Two blocks of 16 for each cost little of the batch and save nearly all preemptions.
  private var growthReserve: Int {
    guard !running.isEmpty, configuration.reservation == .asNeeded else { return 0 }
    // What is handed over ends with its prompt, for which it has all blocks.
    let growth = running.count(where: { !$0.group.isLent }) * Self.growthTokens / configuration.blockSize
    return max(1, min(growth, pool.blockCount / 8))
  }

  private static let growthTokens = 32

  /// Whether the step has the tokens that the sequence needs to start.
  private func canStart(_ sequence: Sequence, tokens: Int, _ turn: PromptTurn, _ budget: StepBudget) -> Bool {
    let left = budget.prompt
    guard left > 0 else { return false }
    if configuration.enableChunkedPrefill { return tokens <= left || turn.others.isEmpty }
    if sequence.group.isLent || sequence.group.lacksPromptLogits { return true }
    return tokens <= left || tokens > roomOfAStep
  }

  /// Counts a start that failed for want of tokens. True: nobody goes past the sequence any more.
  private func hasToWait(_ sequence: Sequence, tokens: Int, _ turn: PromptTurn, _ budget: StepBudget) -> Bool {
    guard !configuration.enableChunkedPrefill else {
      if budget.tokens <= 0 { noteShortfall(of: sequence, turn) }
      return false
    }
    if tokens > budget.tokens { shortfall = max(shortfall, tokens) }
    sequence.overtakenCount += 1
    return sequence.overtakenCount > Self.mostOvertaken
  }

  /// How often a prompt that goes into one step whole lets others go first.
  private static let mostOvertaken = 4

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
      group.cachedCount =
        min(sequence.computedCount, group.prefixCount) - group.fetchedBlocks * configuration.blockSize
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

  /// Marks who waited long, and takes off the queue who waited too long. Who was admitted once is never refused.
  func refuseOverdue(now: ContinuousClock.Instant) {
    var isAnyOverdue = false
    for sequence in waiting {
      let group = sequence.group
      let waited = now - sequence.queuedSince
      if !group.isAged, waited * 2 >= configuration.maxQueueWait {
        group.isAged = true
        isWaitingSorted = false
        // Its other samples rank higher now as well.
        if group.isForked { running.sort { $0.outranks($1) } }
      }
      if group.admitted == nil, waited >= configuration.maxQueueWait { isAnyOverdue = true }
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
