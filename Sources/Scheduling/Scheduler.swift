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
  /// By id, what other workers are asked for.
  var fetches: [UInt64: Fetch] = [:]
  /// Those that nobody has begun to ask for.
  var newFetches: [UInt64] = []
  var nextFetch: UInt64 = 0
  public internal(set) var fetchCost: FetchCost
  public internal(set) var fetchStatistics = FetchStatistics()
  /// The chunk that is computed in slices, from the step of its first to `endSlices`.
  var sliced: SchedulerOutput.Segment?
  /// None of its slices was scheduled yet.
  var isSliceFirst = false
  var isWaitingSorted = true
  var step: UInt64 = 0
  /// The time of the step that is made.
  var now = ContinuousClock.now
  /// Prompt tokens that the last step had no room for.
  var shortfall = 0
  var fairShare: FairShare
  /// Nothing is admitted in a step in which blocks are short.
  var isShort = false {
    didSet { if isShort { lacksCopying = true } }
  }
  /// Blocks that are being copied to a tier would be of use in the pool now.
  public internal(set) var lacksCopying = false
  public internal(set) var costs = StepCostModel()
  public internal(set) var preemptionCount: UInt64 = 0
  public internal(set) var singleFlightWaits: UInt64 = 0
  public internal(set) var copyOnWriteCopies: UInt64 = 0

  public init(configuration: SchedulerConfiguration, pool: BlockPool) {
    self.configuration = configuration
    self.pool = pool
    fairShare = FairShare(quantum: configuration.fairShareQuantum)
    fetchCost = configuration.fetchCost
  }

  deinit {
    // A group and its sequences refer to each other until it ends, and these never did.
    for sequence in running + waiting + loading { sequence.group.sequences.removeAll() }
    for group in receiving { group.sequences.removeAll() }
  }

  public func add(_ group: SequenceGroup) {
    if configuration.fairShare != .none { group.share = fairShare.open(group.tenant) }
    enqueue(group.leader)
  }

  /// Fills `output` with the next step.
  public func schedule(now: ContinuousClock.Instant) {
    step += 1
    self.now = now
    output.removeAll()
    isShort = false
    lacksCopying = false
    refuseOverdue(now: now)
    bindReceived()
    resumeLoaded(now: now)
    var budget = StepBudget(tokens: configuration.maxNumBatchedTokens)
    scheduleDecodes(&budget)
    shortfall = 0
    let target = stepTarget(decodeTokens: output.decodeTokens)
    budget.prefillTokens = prefillBudget(decodeTokens: output.decodeTokens, target: target)
    schedulePrompts(now: now, &budget)
    scheduleSlice(target: target)
  }

  /// What a step took, for the size of the next chunks.
  ///
  /// - Parameter seconds: without a slice's part.
  public func observe(seconds: Double) {
    // Steps beside slices count: what these leave in the processor's caches costs a step little, but while they last its sequences
    // grow, which makes a small model's step twice as long.
    costs.observe(
      prefillTokens: output.prefillTokens, prefillContext: output.prefillContext, decodeTokens: output.decodeTokens,
      seconds: seconds)
  }

  /// What the step just scheduled will take where it is long; 0 where it is not, since nobody asks then.
  public var expectedLongStep: Double {
    guard output.prefillTokens >= Self.manyTokens else { return 0 }
    return costs.expectedSeconds(prefillTokens: output.prefillTokens, prefillContext: output.prefillContext)
  }

  /// Prompt tokens from which on a step may take long.
  private static let manyTokens = 512

  // MARK: Running sequences

  private func scheduleDecodes(_ budget: inout StepBudget) {
    let count = running.reduce(0) { $0 + ($1.isDecoding ? 1 : 0) }
    if count > budget.tokens || count == budget.tokens && shortfall > 0 {
      // Not enough for all: whoever had no turn for longest goes first, and prompts get every other step's half.
      let left = shortfall > 0 ? (budget.tokens + 1) / 2 : 0
      let order = running.filter(\.isDecoding).sorted {
        $0.scheduledStep != $1.scheduledStep ? $0.scheduledStep < $1.scheduledStep : $0.outranks($1)
      }
      for sequence in order {
        guard budget.tokens > left else { break }
        guard let rank = running.firstIndex(where: { $0 === sequence }) else { continue }
        scheduleDecode(of: sequence, rank: rank, drafts: 0, &budget)
      }
      return
    }
    // Everybody's next token comes before anybody's guess, and so does a prompt that got nothing in the last step.
    var spare = max(0, budget.tokens - count - shortfall)
    var index = 0
    while index < running.count {
      let sequence = running[index]
      index += 1
      guard sequence.isDecoding else { continue }
      spare -= scheduleDecode(of: sequence, rank: index - 1, drafts: min(sequence.drafts.count, spare), &budget)
    }
  }

  /// Returns the drafts that were taken.
  @discardableResult
  private func scheduleDecode(of sequence: Sequence, rank: Int, drafts: Int, _ budget: inout StepBudget) -> Int {
    // Nobody is preempted for a guess.
    let room = (sequence.table.count + pool.availableCount) * configuration.blockSize - sequence.tokens.count
    let drafts = max(0, min(drafts, room))
    guard makeRoom(for: sequence, through: sequence.tokens.count + drafts, rank: rank) else { return 0 }
    place(sequence, count: 1, draftCount: drafts, logitCount: 1 + drafts, isDecode: true)
    if let share = sequence.group.share { fairShare.charge(share, 1) }
    output.decodeTokens += 1 + drafts
    budget.tokens -= 1 + drafts
    return drafts
  }

  /// - Parameter place: among the step's segments; the end where it is nil.
  func place(
    _ sequence: Sequence, count: Int, draftCount: Int, logitCount: Int, promptLogitCount: Int = 0, isDecode: Bool,
    at place: Int? = nil
  ) {
    sequence.scheduledStep = step
    output.segments.insert(
      SchedulerOutput.Segment(
        sequence: sequence, start: sequence.computedCount, count: count, draftCount: draftCount,
        logitCount: logitCount, promptLogitCount: promptLogitCount, isDecode: isDecode),
      at: place ?? output.segments.count)
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
    if sequence === sliced?.sequence { sliced = nil }
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
    case .waiting: leaveQueue(sequence)
    case .loading: stopLoading(sequence)
    case .pending, .receiving, .finished: break
    }
  }

  func enqueue(_ sequence: Sequence) {
    sequence.status = .waiting
    sequence.awaited = nil
    if sequence.group.admitted != nil { sequence.queuedSince = now }
    waiting.append(sequence)
    isWaitingSorted = false
    if let share = sequence.group.share { fairShare.enqueue(share) }
  }

  func leaveQueue(_ sequence: Sequence) {
    guard let index = waiting.firstIndex(where: { $0 === sequence }) else { return }
    waiting.remove(at: index)
    if let share = sequence.group.share { fairShare.dequeue(share) }
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
