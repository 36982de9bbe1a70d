import ServingTypes

/// Keeps a worker's lease and its blocks in the directory, from `run()` until that is cancelled.
///
/// A directory that is away costs nothing but its knowledge: once it is back, everything is announced again.
public final class DirectoryAnnouncer: Sendable {
  private struct State {
    var book: AnnouncementBook
    var nextLease: ContinuousClock.Instant?
    var hasLease = false
    var leasedEpoch = 0
    var sequence = 0
    /// Of the directory, when its memory was last taken for sound.
    var possibleLosses = 0
  }

  private let directory: any BlockDirectory
  private let configuration: AnnouncerConfiguration
  private let clock: ServingClock
  private let record: @Sendable () async -> WorkerRecord
  private let changes: @Sendable () async -> CacheChanges
  private let state: Lock<State>

  /// - Parameters:
  ///   - record: the worker as it is now; its epoch and sequence are filled in here.
  ///   - changes: what changed in the prefix cache since it was last asked.
  public init(
    directory: any BlockDirectory, configuration: AnnouncerConfiguration = AnnouncerConfiguration(),
    clock: ServingClock = .continuous,
    record: @escaping @Sendable () async -> WorkerRecord, changes: @escaping @Sendable () async -> CacheChanges
  ) {
    self.directory = directory
    self.configuration = configuration
    self.clock = clock
    self.record = record
    self.changes = changes
    let book = AnnouncementBook(
      blockLifetime: configuration.blockLifetime, minimumBackoff: configuration.minimumBackoff,
      maximumBackoff: configuration.maximumBackoff)
    state = Lock(State(book: book))
  }

  /// Announces until the task is cancelled, then withdraws the lease. That of a draining worker is left to expire
  /// instead: a router that sees it gone can't tell the end of a worker from the directory's loss of memory, and
  /// would try the worker as a last resort.
  public func run() async {
    while !Task.isCancelled {
      if await poll(now: clock.now) { continue }
      do { try await clock.sleep(for: configuration.pollInterval) } catch { break }
    }
    let record = await record()
    if record.isDraining {
      await renewLease(now: clock.now)
    } else {
      // Nothing is lost if that fails: the lease expires.
      try? await directory.withdrawLease(record.reference)
    }
  }

  /// Has the next poll renew the lease, for example because the worker began to drain.
  public func renewSoon() { state.withLock { $0.nextLease = nil } }

  /// Blocks that the directory has yet to hear of.
  public var pendingBlocks: Int { state.withLock { $0.book.pendingCount } }

  /// One round: the lease when it is due, then what changed.
  /// - Returns: whether there is more to say at once.
  @discardableResult
  package func poll(now: ContinuousClock.Instant = .now) async -> Bool {
    let changes = await changes()
    let possibleLosses = directory.statistics.possibleLosses
    let isLeaseDue = state.withLock { state in
      state.book.apply(changes)
      if possibleLosses != state.possibleLosses {
        // A server came back that may have nothing of what it was told, even if the lease is still there.
        state.possibleLosses = possibleLosses
        state.book.lose()
      }
      return state.nextLease.map { now >= $0 } ?? true
    }
    if isLeaseDue { await renewLease(now: now) }
    let hasMore = await announce(now: now)
    let mustRaiseEpoch = state.withLock { $0.hasLease && $0.book.announcedEpoch != $0.leasedEpoch }
    if mustRaiseEpoch { await renewLease(now: now) }
    return hasMore
  }

  private func renewLease(now: ContinuousClock.Instant) async {
    var record = await record()
    let hadLease = state.withLock { state in
      state.sequence += 1
      record.sequence = state.sequence
      record.epoch = state.book.announcedEpoch
      return state.hasLease
    }
    do {
      let isKept = try await directory.renewLease(record, lifetime: configuration.leaseLifetime)
      state.withLock { state in
        // A lease that is gone before its time: the directory was emptied or restarted.
        if hadLease, !isKept { state.book.lose() }
        state.hasLease = true
        state.leasedEpoch = record.epoch
        state.nextLease = now + configuration.heartbeat
      }
    } catch {
      state.withLock { $0.nextLease = now + configuration.heartbeat }
    }
  }

  /// - Returns: whether there is more to say at once.
  private func announce(now: ContinuousClock.Instant) async -> Bool {
    // Without a lease nobody looks for this worker's blocks.
    guard state.withLock({ $0.hasLease }) else { return false }
    let record = await record()
    for _ in 0..<configuration.batchesPerPoll {
      let (action, epoch) = state.withLock { state -> (AnnouncementBook.Action?, Int) in
        let action = state.book.next(limit: configuration.batchSize, now: now)
        return (action, state.book.epoch)
      }
      let worker = AnnouncingWorker(
        worker: record.id, incarnation: record.reference.incarnation, epoch: epoch, layoutDigest: record.layoutDigest)
      do {
        switch action {
        case .withdraw(let blocks): try await directory.withdraw(blocks, as: worker)
        case .announce(let blocks):
          try await directory.announce(blocks, as: worker, lifetime: configuration.blockLifetime)
        case nil:
          state.withLock { $0.book.confirm() }
          return false
        }
      } catch {
        state.withLock { $0.book.fail() }
        // A directory that is away is not pressed for answers.
        return false
      }
    }
    return !Task.isCancelled
  }
}
