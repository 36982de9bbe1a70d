import ServingTypes

/// A directory inside the process, for a router and workers that share one and for tests.
public final class InMemoryDirectory: BlockDirectory {
  private struct Key: Hashable {
    var layoutDigest: String
    var hash: BlockHash
  }

  private struct Entry {
    var incarnation: Incarnation
    var epoch: Int
    var tier: CacheTier
    var expiry: ContinuousClock.Instant
  }

  private struct Lease {
    var record: WorkerRecord
    var expiry: ContinuousClock.Instant
  }

  private struct State {
    var leases: [WorkerID: Lease] = [:]
    var blocks: [Key: [WorkerID: Entry]] = [:]
    var nextSweep: ContinuousClock.Instant
    var statistics = DirectoryStatistics()
  }

  private let maximumBlocks: Int
  private let now: @Sendable () -> ContinuousClock.Instant
  private let state: Lock<State>

  /// - Parameters:
  ///   - maximumBlocks: blocks beyond these are not taken in.
  ///   - now: the clock, which tests move by hand.
  public init(
    maximumBlocks: Int = 1 << 20, now: @escaping @Sendable () -> ContinuousClock.Instant = { ContinuousClock.now }
  ) {
    self.maximumBlocks = maximumBlocks
    self.now = now
    state = Lock(State(nextSweep: now() + Self.sweepInterval))
  }

  private static let sweepInterval = Duration.seconds(60)

  public var statistics: DirectoryStatistics { state.withLock { $0.statistics } }

  public func longestPrefixes(_ query: PrefixQuery) async throws(ServingError) -> [WorkerID: CachedPrefix] {
    let now = now()
    return state.withLock { state in
      var found: [WorkerID: CachedPrefix] = [:]
      var standing = query.holders
      for hash in query.hashes {
        guard let entries = state.blocks[Key(layoutDigest: query.layoutDigest, hash: hash)] else { break }
        standing.removeAll { holder in
          guard let entry = entries[holder.worker], entry.incarnation == holder.incarnation,
            entry.epoch >= holder.epoch, entry.expiry > now
          else { return true }
          switch entry.tier {
          case .device: found[holder.worker, default: CachedPrefix()].device += 1
          case .host: found[holder.worker, default: CachedPrefix()].host += 1
          case .file: found[holder.worker, default: CachedPrefix()].file += 1
          }
          return false
        }
        if standing.isEmpty { break }
      }
      state.statistics.lookups += 1
      state.statistics.lastSuccess = now
      return found
    }
  }

  public func workers() async throws(ServingError) -> [WorkerRecord] {
    let now = now()
    return state.withLock { state in
      state.leases = state.leases.filter { $0.value.expiry > now }
      state.statistics.lastSuccess = now
      return state.leases.values.map(\.record).sorted { $0.id < $1.id }
    }
  }

  public func renewLease(_ record: WorkerRecord, lifetime: Duration) async throws(ServingError) -> Bool {
    let now = now()
    return state.withLock { state in
      let held = state.leases[record.id]
      state.leases[record.id] = Lease(record: record, expiry: now + lifetime)
      state.statistics.lastSuccess = now
      guard let held else { return false }
      return held.expiry > now && held.record.reference.incarnation == record.reference.incarnation
    }
  }

  public func withdrawLease(_ reference: WorkerReference) async throws(ServingError) {
    state.withLock { state in
      guard state.leases[reference.id]?.record.reference.incarnation == reference.incarnation else { return }
      state.leases[reference.id] = nil
    }
  }

  public func announce(
    _ blocks: [CachedBlock], as worker: AnnouncingWorker, lifetime: Duration
  ) async throws(ServingError) {
    let now = now()
    state.withLock { state in
      sweep(&state, now: now)
      for block in blocks {
        let key = Key(layoutDigest: worker.layoutDigest, hash: block.hash)
        if state.blocks[key] == nil, state.blocks.count >= maximumBlocks {
          state.statistics.errors += 1
          continue
        }
        state.blocks[key, default: [:]][worker.worker] = Entry(
          incarnation: worker.incarnation, epoch: worker.epoch, tier: block.tier, expiry: now + lifetime)
        state.statistics.announcedBlocks += 1
      }
      state.statistics.lastSuccess = now
    }
  }

  public func withdraw(_ blocks: [CachedBlock], as worker: AnnouncingWorker) async throws(ServingError) {
    state.withLock { state in
      for block in blocks {
        let key = Key(layoutDigest: worker.layoutDigest, hash: block.hash)
        guard state.blocks[key]?[worker.worker]?.incarnation == worker.incarnation else { continue }
        state.blocks[key]?[worker.worker] = nil
        if state.blocks[key]?.isEmpty == true { state.blocks[key] = nil }
        state.statistics.withdrawnBlocks += 1
      }
    }
  }

  /// Drops what has expired, once a minute.
  private func sweep(_ state: inout State, now: ContinuousClock.Instant) {
    guard now >= state.nextSweep else { return }
    state.nextSweep = now + Self.sweepInterval
    for (key, entries) in state.blocks {
      let live = entries.filter { $0.value.expiry > now }
      if live.count != entries.count { state.blocks[key] = live.isEmpty ? nil : live }
    }
  }
}
