import Glibc
import KVCache
import ModelRuntime
import Scheduling
import ServingTypes

/// What the engine's thread runs: take the mailbox, schedule, draft, compute, sample, report.
///
/// Everything here belongs to that thread, but for `mailbox` and `snapshot`.
final class EngineLoop {
  let executor: any ModelExecutor
  let configuration: EngineConfiguration
  let maximumContextLength: Int
  let mailbox: EngineMailbox
  let snapshot: Lock<EngineStatistics>
  let endOfGeneration: [TokenID]
  let blockSize: Int
  let memory: BlockMemory
  let vocabularySize: Int
  let clock: ServingClock

  let scheduler: Scheduler
  /// Nil where nothing lies below the pool.
  let tiers: TierTransfers?
  var requests: [UInt64: ActiveRequest] = [:]
  var statistics: EngineStatistics
  var outgoing: [Outgoing] = []
  var sampler: Sampler
  var speculator: Speculator
  var batch = ForwardBatch()
  var slices = SliceProgress()
  var scratchTokens: [TokenID] = []
  private var contents = EngineMailbox.Contents()
  private var earliestDeadline: ContinuousClock.Instant?
  private var drainReplies: [EngineCommand.Reply<Void>] = []
  private var stopReplies: [EngineCommand.Reply<Void>] = []
  private var isStopping = false
  /// Something happened since the books were last checked on idle.
  private var isDirty = false
  private var reportedQueueStep: UInt64 = 0
  /// Somebody waits for an answer that no step will change.
  private var isAwaited = false
  /// Fetches for whoever asks other workers.
  let fetches: AsyncStream<BlockFetch>.Continuation

  init(
    executor: any ModelExecutor, draftExecutor: (any ModelExecutor)?, configuration: EngineConfiguration,
    maximumContextLength: Int, mailbox: EngineMailbox, snapshot: Lock<EngineStatistics>, tiers: TierTransfers?,
    clock: ServingClock, fetches: AsyncStream<BlockFetch>.Continuation
  ) {
    self.executor = executor
    self.configuration = configuration
    self.maximumContextLength = maximumContextLength
    self.mailbox = mailbox
    self.snapshot = snapshot
    self.tiers = tiers
    self.clock = clock
    self.fetches = fetches
    endOfGeneration = executor.endOfGenerationTokens
    blockSize = executor.layout.blockSize
    memory = executor.memory
    vocabularySize = executor.vocabularySize
    statistics = snapshot.withLock { $0 }
    sampler = Sampler(
      vocabularySize: executor.vocabularySize, endOfGenerationTokens: executor.endOfGenerationTokens)
    var pool = BlockPool(
      blockCount: executor.memory.blockCount, isCaching: configuration.enablePrefixCaching,
      logLimit: configuration.cacheLogLimit)
    pool.addTiers(
      hostCapacity: tiers?.host?.capacity ?? 0, fileCapacity: tiers?.file?.capacity ?? 0,
      threshold: configuration.offloadThreshold)
    speculator = Speculator(
      configuration: configuration, maximumContextLength: maximumContextLength, draftExecutor: draftExecutor,
      endOfGeneration: executor.endOfGenerationTokens, clock: clock)
    scheduler = Scheduler(
      configuration: SchedulerConfiguration(
        blockSize: blockSize, maxNumSeqs: configuration.maxNumSeqs,
        maxNumBatchedTokens: configuration.maxNumBatchedTokens, maxPrefillTokens: configuration.maxPrefillTokens,
        prefillChunkSize: configuration.prefillChunkSize, handoffChunkSize: configuration.handoffChunkSize,
        enableChunkedPrefill: configuration.enableChunkedPrefill, targetStepTime: configuration.targetStepTime,
        slicedChunkSize: executor.runsPieces ? Self.slicedChunkSize : 0,
        maxQueueWait: configuration.maxQueueWait, policy: configuration.batchSchedulerPolicy,
        fairShare: configuration.fairSharePolicy, prefetchBlocks: configuration.prefetchBlocks,
        fetchMinBlocks: configuration.enableBlockFetch ? configuration.fetchMinBlocks : 0,
        fetchTimeout: configuration.fetchTimeout,
        fetchCost: FetchCost(
          secondsPerBlock: Double(executor.memory.blockBytes) / Double(configuration.fetchBandwidth)),
        reservation: configuration.reservesLongestContext
          ? .longestContext(tokens: maximumContextLength) : .asNeeded),
      pool: pool)
  }

  // MARK: The loop

  /// Evicted blocks that one turn of the loop copies down, beside those that its step writes to: some milliseconds.
  static let storesPerTurn = 64
  /// Large enough for the weights to be read seldom; more would only be lost at a preemption.
  private static let slicedChunkSize = 256

  func run() {
    tiers?.start()
    var wait = 0.5
    let pacing = StepPacing(interval: configuration.schedulingInterval, mergeWindow: configuration.batchMergeWindow)
    while !isStopping {
      let wasIdle = requests.isEmpty
      mailbox.take(into: &contents, waiting: wait)
      let company = pacing.companyWait(
        wasIdle: wasIdle, hasArrival: pacing.mergeWindow > .zero && contents.commands.contains(where: \.isSubmission))
      if company > .zero {
        handle(contents)
        sleep(seconds: company.seconds)
        mailbox.take(into: &contents, waiting: 0)
      }
      let start = clock.now
      switch turn() {
      case .worked:
        wait = 0
        if configuration.schedulingInterval > .zero {
          sleep(seconds: pacing.pause(after: start, now: clock.now).seconds)
        }
      // Blocks or time must come first: both end the wait.
      case .waiting: wait = 0.02
      case .idle: wait = 0.5
      case .stopping: break
      }
    }
    shutDown()
  }

  /// Takes what came without waiting, and goes through the loop once.
  func turnByHand() -> EngineTurn {
    if isStopping { return .stopping }
    mailbox.take(into: &contents, waiting: 0)
    let turn = turn()
    if turn == .stopping || isStopping { endAtOnce() }
    return turn
  }

  /// Handles what was taken from the mailbox, computes a step where one is possible, and says what there is to say.
  private func turn() -> EngineTurn {
    handle(contents)
    if isStopping { return .stopping }
    if isAwaited { report() }
    let now = clock.now
    expire(now: now)
    let hasWorked = requests.isEmpty ? false : step(now: now)
    if requests.isEmpty, let tiers {
      tiers.storeEvicted(of: scheduler, limit: Self.storesPerTurn)
      tiers.tend(scheduler, isShort: false, now: now)
    }
    report()
    if requests.isEmpty { idle() }
    return hasWorked ? .worked : requests.isEmpty ? .idle : .waiting
  }

  private func sleep(seconds: Double) {
    guard seconds > 0 else { return }
    var time = timespec(tv_sec: Int(seconds), tv_nsec: Int((seconds - seconds.rounded(.down)) * 1e9))
    var rest = timespec()
    while nanosleep(&time, &rest) == -1, errno == EINTR { time = rest }
  }

  /// Publishes the books, then says what there is to say: whoever hears of an end finds its blocks given back.
  func report() {
    publish()
    isAwaited = false
    for message in outgoing { message.send() }
    outgoing.removeAll(keepingCapacity: true)
  }

  private func publish() {
    let pool = scheduler.pool
    statistics.activeBlocks = pool.activeCount
    statistics.cachedBlocks = pool.cachedCount
    statistics.freeBlocks = pool.freeCount
    statistics.pinnedBlocks = pool.pinnedCount
    statistics.evictions = pool.evictions
    statistics.tableSlots = 0
    statistics.emptySlots = 0
    for sequence in scheduler.running {
      let slots = sequence.table.count * blockSize
      statistics.tableSlots += slots
      statistics.emptySlots += max(0, slots - sequence.computedCount)
    }
    statistics.runningSequences = scheduler.running.count
    statistics.waitingSequences = scheduler.waiting.count
    statistics.receivingRequests = scheduler.receiving.count
    statistics.pendingPrefillTokens = scheduler.pendingPrefillTokens
    statistics.preemptions = scheduler.preemptionCount
    statistics.singleFlightWaits = scheduler.singleFlightWaits
    statistics.copyOnWriteCopies = scheduler.copyOnWriteCopies
    if tiers != nil {
      statistics.tiers = pool.currentTierStatistics
      statistics.tiers.loadingSequences = scheduler.loading.count
    }
    statistics.fetches = scheduler.fetchStatistics
    statistics.speculation = speculator.statistics
    statistics.heartbeat = clock.now
    let statistics = statistics
    snapshot.withLock { $0 = statistics }
  }

  private func idle() {
    speculator.becomeIdle()
    guard scheduler.pool.pinTotal == 0 else { return }
    if isDirty, configuration.checkIntegrityOnIdle {
      do throws(ServingError) {
        try checkIntegrity()
      } catch {
        statistics.failure = error.message
        isStopping = true
      }
    }
    isDirty = false
    if !drainReplies.isEmpty {
      for reply in drainReplies { reply.resume(returning: .success(())) }
      drainReplies.removeAll()
    }
  }

  func checkIntegrity() throws(ServingError) {
    try scheduler.checkIntegrity(pins: scheduler.pool.pinTotal)
    try speculator.checkIntegrity()
    guard requests.isEmpty else { return }
    let pool = scheduler.pool
    if pool.activeCount != pool.pinnedCount || !scheduler.running.isEmpty || !scheduler.waiting.isEmpty {
      throw ServingError(
        .internalError,
        "engine: no request is left, but \(pool.activeCount) blocks are active, \(pool.pinnedCount) of them pinned,"
          + " \(scheduler.running.count) sequences run and \(scheduler.waiting.count) wait")
    }
  }

  // MARK: The mailbox

  private func handle(_ contents: EngineMailbox.Contents) {
    if !contents.isEmpty { isDirty = true }
    for block in contents.releases { scheduler.unpin(block) }
    if let tiers, !contents.reports.isEmpty {
      let now = clock.now
      for report in contents.reports { tiers.collect(report, for: scheduler, now: now) }
    }
    for command in contents.commands { handle(command) }
  }

  private func handle(_ command: EngineCommand) {
    switch command {
    case .submit(let submission): accept(submission)
    case .cancel(let key):
      if let request = requests[key] { fail(request, ServingError(.cancelled, "the request was cancelled")) }
    case .stopSample(let key, let sample): stopSample(key, sample)
    case .reserve(let key, let reply): reserve(key, reply)
    case .bind(let key, let reply): bind(key, reply)
    case .commit(let key, let index, let checksum): commit(key, index: index, checksum: checksum)
    case .complete(let key, let end): complete(key, end)
    case .computeHere(let key): if let request = requests[key] { computeHere(request) }
    case .heldBlocks(let key, let reply): outgoing.append(.count(reply, .success(heldBlocks(key))))
    case .fetched(let id, let checksum): scheduler.commitFetched(id, checksum: checksum, now: clock.now)
    case .endFetch(let id, let report): scheduler.endFetch(id, report, now: clock.now)
    case .lend(let hashes, let reply):
      outgoing.append(.loans(reply, lend(hashes)))
      isAwaited = true
    case .cacheChanges(let reply): outgoing.append(.changes(reply, scheduler.takeCacheChanges()))
    case .checkIntegrity(let reply):
      let result = Result { () throws(ServingError) in try checkIntegrity() }
      outgoing.append(.done(reply, result))
    case .drain(let reply): drainReplies.append(reply)
    case .stop(let reply):
      stopReplies.append(reply)
      isStopping = true
    case .abandon: isStopping = true
    }
  }

  func noteDeadline(_ deadline: ContinuousClock.Instant?) {
    guard let deadline else { return }
    earliestDeadline = earliestDeadline.map { min($0, deadline) } ?? deadline
  }

  /// As they came, so that what ends together ends in the same order in each run.
  private var requestsInOrder: [ActiveRequest] { requests.sorted { $0.key < $1.key }.map(\.value) }

  private func expire(now: ContinuousClock.Instant) {
    guard let earliest = earliestDeadline, now >= earliest else { return }
    for request in requestsInOrder {
      if let deadline = request.submission.request.deadline, now >= deadline {
        fail(request, ServingError(.deadlineExceeded, "the request's deadline passed"))
      }
    }
    earliestDeadline = requests.values.compactMap(\.submission.request.deadline).min()
  }

  // MARK: The end

  private var endError: ServingError {
    statistics.failure.map { ServingError(.internalError, $0) } ?? EngineMailbox.stopped
  }

  /// For an engine that is driven by hand: whoever drives it need not wait for pins.
  private func endAtOnce() {
    mailbox.stopAdmitting()
    endEverything(endError)
    report()
    refuseEverything()
    for reply in stopReplies + drainReplies { reply.resume(returning: .success(())) }
  }

  private func shutDown() {
    let error = endError
    mailbox.stopAdmitting()
    endEverything(error)
    tiers?.stop(scheduler)
    report()
    // Blocks are read by others until their pins come back; the memory itself lives as long as its last reader.
    let end = clock.now + configuration.stopGracePeriod
    while scheduler.pool.pinTotal > 0, clock.now < end {
      mailbox.take(into: &contents, waiting: 0.05)
      handle(contents)
      endEverything(error)
      report()
    }
    report()
    fetches.finish()
    refuseEverything()
    for reply in stopReplies + drainReplies { reply.resume(returning: .success(())) }
  }

  private func endEverything(_ error: ServingError) {
    for request in requestsInOrder { fail(request, error) }
  }

  /// Closes the mailbox and answers everything that waits in it.
  func refuseEverything() {
    for command in mailbox.close().commands { command.refuse(EngineMailbox.stopped) }
  }
}
