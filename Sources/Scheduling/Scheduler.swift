import KVCache
import ServingTypes

/// Decides what each step computes, and owns the books of the pool: continuous batching with chunked prefill,
/// a prefix cache with single flight, preemption by recompute.
///
/// A waiting sequence holds no block. It is admitted only when all its tokens fit, and every running sequence but the
/// first can be preempted, so that the first always ends. One thread at a time.
/// - SeeAlso: Kwon et al., PagedAttention (2023); Agrawal et al., Sarathi-Serve (2024); vLLM v1's `Scheduler`.
public final class Scheduler {
  public let configuration: SchedulerConfiguration
  public internal(set) var pool: BlockPool
  /// Valid until the next `schedule`.
  public internal(set) var output = SchedulerOutput()
  /// By rank: the last one is preempted first.
  public internal(set) var running: [Sequence] = []
  public internal(set) var waiting: [Sequence] = []
  /// Groups that were promised capacity and wait for their blocks from another worker.
  public internal(set) var receiving: [SequenceGroup] = []
  /// Of those, the ones that want block ids, in order.
  var binding: [SequenceGroup] = []
  var promisedBlocks = 0
  /// Admitted sequences that wait for blocks from the tiers below the pool.
  public internal(set) var loading: [Sequence] = []
  var loadTurn: UInt32 = 0
  var isWaitingSorted = true
  var step: UInt64 = 0
  /// Nothing is admitted in a step in which blocks are short.
  var isShort = false {
    didSet { if isShort { lacksCopying = true } }
  }
  /// Blocks that are being copied to a tier would be of use in the pool now.
  public internal(set) var lacksCopying = false
  public private(set) var costs = StepCostModel()
  public internal(set) var preemptionCount: UInt64 = 0
  public internal(set) var singleFlightWaits: UInt64 = 0
  public internal(set) var copyOnWriteCopies: UInt64 = 0

  public init(configuration: SchedulerConfiguration, pool: BlockPool) {
    self.configuration = configuration
    self.pool = pool
  }

  public func add(_ group: SequenceGroup) {
    enqueue(group.leader)
  }

  /// Fills `output` with the next step.
  public func schedule(now: ContinuousClock.Instant) {
    step += 1
    output.removeAll()
    isShort = false
    lacksCopying = false
    refuseOverdue(now: now)
    bindReceived()
    resumeLoaded(now: now)
    var budget = configuration.maxNumBatchedTokens
    scheduleDecodes(&budget)
    var prefillBudget = prefillBudget(decodeTokens: output.decodeTokens)
    scheduleChunks(&budget, &prefillBudget)
    if output.preempted.isEmpty, !isShort, binding.isEmpty { admit(now: now, &budget, &prefillBudget) }
  }

  /// What a step took, for the size of the next chunks.
  public func observe(seconds: Double) {
    costs.observe(prefillTokens: output.prefillTokens, decodeTokens: output.decodeTokens, seconds: seconds)
  }

  private func prefillBudget(decodeTokens: Int) -> Int {
    var tokens = configuration.maxPrefillTokens
    // Without chunked prefill there is nothing to shorten: a prompt that fits no step would wait for ever.
    if configuration.enableChunkedPrefill, configuration.targetStepTime > .zero {
      // With nobody waiting for a next token, longer chunks make better use of the weights that they read.
      let target = configuration.targetStepTime.seconds * (decodeTokens == 0 ? 4 : 1)
      let affordable = costs.prefillTokens(target: target, decodeTokens: decodeTokens)
      tokens = min(tokens, max(affordable, configuration.blockSize))
    }
    return tokens
  }

  // MARK: Running sequences

  private func scheduleDecodes(_ budget: inout Int) {
    var index = 0
    var unserved = running.reduce(0) { $0 + ($1.isDecoding ? 1 : 0) }
    while index < running.count {
      let sequence = running[index]
      index += 1
      guard sequence.isDecoding, budget > 0 else { continue }
      // Everybody's next token comes before anybody's guess.
      unserved -= 1
      // Nobody is preempted for a guess.
      let room = (sequence.table.count + pool.availableCount) * configuration.blockSize - sequence.tokens.count
      let drafts = max(0, min(sequence.drafts.count, budget - 1 - unserved, room))
      guard makeRoom(for: sequence, through: sequence.tokens.count + drafts, rank: index - 1) else { continue }
      place(sequence, count: 1, draftCount: drafts, logitCount: 1 + drafts, isDecode: true)
      output.decodeTokens += 1 + drafts
      budget -= 1 + drafts
    }
  }

  private func scheduleChunks(_ budget: inout Int, _ prefillBudget: inout Int) {
    var index = 0
    while index < running.count {
      let sequence = running[index]
      index += 1
      guard !sequence.isDecoding, sequence.remainingCount > 0, sequence.scheduledStep != step else { continue }
      scheduleChunk(of: sequence, rank: index - 1, &budget, &prefillBudget)
    }
  }

  /// False when nothing of the sequence could be scheduled.
  @discardableResult
  func scheduleChunk(
    of sequence: Sequence, rank: Int, _ budget: inout Int, _ prefillBudget: inout Int
  ) -> Bool {
    let count = chunk(of: sequence, limit: min(budget, prefillBudget))
    guard count > 0, makeRoom(for: sequence, through: sequence.computedCount + count, rank: rank) else { return false }
    let end = sequence.computedCount + count
    let group = sequence.group
    let wantsLogits =
      end == sequence.tokens.count
      || !group.isForked && end == group.prefixCount
        && group.sequences.contains { $0.status != .finished && $0.tokens.count == end }
    place(sequence, count: count, draftCount: 0, logitCount: wantsLogits ? 1 : 0, isDecode: false)
    output.prefillTokens += count
    budget -= count
    prefillBudget -= count
    return true
  }

  /// Tokens of the sequence's next chunk: to a block's end where it is not the last.
  private func chunk(of sequence: Sequence, limit: Int) -> Int {
    let (start, group) = (sequence.computedCount, sequence.group)
    let end = sequence.nextStop
    var largest = configuration.prefillChunkSize
    if group.isLent {
      largest = min(configuration.handoffChunkSize, configuration.prefillChunkSize)
    } else if !configuration.enableChunkedPrefill {
      // What no step could hold beside the decodes has to be split all the same.
      let room = min(configuration.maxNumBatchedTokens - configuration.maxNumSeqs, configuration.maxPrefillTokens)
      guard end - start > room else { return end - start <= limit ? end - start : 0 }
      largest = max(room, 1)
    }
    let reach = start + min(largest, limit)
    guard reach < end else { return end - start }
    let aligned = reach / configuration.blockSize * configuration.blockSize
    return (aligned > start ? aligned : reach) - start
  }

  private func place(_ sequence: Sequence, count: Int, draftCount: Int, logitCount: Int, isDecode: Bool) {
    sequence.scheduledStep = step
    output.segments.append(
      SchedulerOutput.Segment(
        sequence: sequence, start: sequence.computedCount, count: count, draftCount: draftCount,
        logitCount: logitCount, isDecode: isDecode))
  }

  // MARK: Blocks

  /// Makes the sequence's blocks from its first uncomputed token up to `end` present and private, at the cost of
  /// lower-ranked sequences. False: it waits, or was preempted itself.
  func makeRoom(for sequence: Sequence, through end: Int, rank: Int) -> Bool {
    let count = BlockTable.blockCount(tokens: end, blockSize: configuration.blockSize)
    var index = sequence.computedCount / configuration.blockSize
    while index < min(count, sequence.table.count) {
      guard pool.isShared(sequence.table, at: index) else {
        index += 1
        continue
      }
      if let copy = pool.copyOnWrite(&sequence.table, at: index) {
        output.copies.append(copy)
        copyOnWriteCopies += 1
      } else if !yieldBlocks(to: sequence, rank: rank) {
        return false
      }
    }
    while !pool.grow(&sequence.table, to: count) {
      if !yieldBlocks(to: sequence, rank: rank) { return false }
    }
    return true
  }

  /// Preempts the last sequence that is not part of this step, or the one that asks if it is the last.
  private func yieldBlocks(to sequence: Sequence, rank: Int) -> Bool {
    isShort = true
    if let last = loading.last {
      preempt(last)
      return true
    }
    for index in stride(from: running.count - 1, to: rank, by: -1) where running[index].scheduledStep != step {
      preempt(running[index])
      return true
    }
    // Who waits for a hand-off may hold cached blocks, and may itself wait for those of the one that asks.
    if running.count == 1, withdrawReceiver() { return true }
    // The first one keeps what it has: others bring their blocks back. Somebody must get on.
    if rank > 0, rank == running.count - 1 { preempt(sequence) }
    return false
  }

  /// Takes a sequence's blocks; it computes them again, prompt and generated tokens, when it comes back.
  private func preempt(_ sequence: Sequence) {
    preemptionCount += 1
    sequence.preemptions += 1
    output.preempted.append(sequence)
    remove(sequence)
    reset(sequence)
    enqueue(sequence)
    sequence.group.isReturning = true
  }

  /// Drops blocks, claims and progress.
  func reset(_ sequence: Sequence) {
    disclaim(sequence)
    stopLoading(sequence)
    pool.release(&sequence.table)
    sequence.computedCount = 0
    sequence.sealedCount = 0
    sequence.drafts.removeAll(keepingCapacity: true)
  }

  func disclaim(_ sequence: Sequence) {
    if sequence.claimedEnd > sequence.sealedCount {
      pool.disclaim(sequence.hashes[sequence.sealedCount..<sequence.claimedEnd], owner: sequence.id)
    }
    sequence.claimedEnd = 0
  }

  /// Takes the sequence off `running` and `waiting`.
  func remove(_ sequence: Sequence) {
    switch sequence.status {
    case .running: if let index = running.firstIndex(where: { $0 === sequence }) { running.remove(at: index) }
    case .waiting: if let index = waiting.firstIndex(where: { $0 === sequence }) { waiting.remove(at: index) }
    case .loading: stopLoading(sequence)
    case .pending, .receiving, .finished: break
    }
  }

  func enqueue(_ sequence: Sequence) {
    sequence.status = .waiting
    sequence.awaited = nil
    waiting.append(sequence)
    isWaitingSorted = false
  }

  /// Returns the sequence's place by rank.
  @discardableResult
  func run(_ sequence: Sequence) -> Int {
    sequence.status = .running
    let index = running.lastIndex { $0.outranks(sequence) }.map { $0 + 1 } ?? 0
    running.insert(sequence, at: index)
    return index
  }
}

extension Duration {
  /// In seconds.
  public var seconds: Double {
    Double(components.seconds) + Double(components.attoseconds) * 1e-18
  }
}
