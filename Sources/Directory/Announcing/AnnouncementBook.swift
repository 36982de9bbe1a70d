import ServingTypes

/// What a worker holds and what of it the directory has yet to hear. No I/O.
///
/// When it is unknown what arrived, a new epoch begins: everything is announced again, and once that is done the lease
/// raises its epoch, which voids whatever else the directory remembers. After a failure the rest is said all the same, since
/// a part of the directory may be well. Epochs follow each other with growing pauses, so that a directory that keeps forgetting
/// or refusing is not flooded.
package struct AnnouncementBook {
  package enum Action: Hashable, Sendable {
    case withdraw([CachedBlock])
    case announce([CachedBlock])
  }

  private struct Resident {
    var block: CachedBlock
    /// Tells a renewal that is still due from one that was overtaken.
    var turn: UInt64
  }

  private struct Renewal {
    var hash: BlockHash
    var turn: UInt64
    var due: ContinuousClock.Instant
  }

  private let renewalInterval: Duration
  private let minimumBackoff: Duration
  private let maximumBackoff: Duration
  private var residents: [BlockHash: Resident] = [:]
  /// In the order in which they are due.
  private var renewals: [Renewal] = []
  private var firstRenewal = 0
  private var additions: [BlockHash] = []
  private var firstAddition = 0
  private var withdrawals: [CachedBlock] = []
  private var turn: UInt64 = 0
  /// A new epoch has to begin before anything else is said.
  private var isLost = false
  /// Something of this epoch may not have arrived.
  private var hasGap = false
  /// How long after the last epoch's begin the next one may, at the earliest.
  private var pause = Duration.zero
  private var lastEpoch: ContinuousClock.Instant?

  /// Stamped on announcements.
  package private(set) var epoch = 0
  /// What the lease may say: the last epoch that was announced in full.
  package private(set) var announcedEpoch = 0

  package init(
    blockLifetime: Duration, minimumBackoff: Duration = .milliseconds(500), maximumBackoff: Duration = .seconds(10)
  ) {
    renewalInterval = blockLifetime / 2
    self.minimumBackoff = minimumBackoff
    self.maximumBackoff = maximumBackoff
  }

  package var residentCount: Int { residents.count }
  package var pendingCount: Int { withdrawals.count + additions.count - firstAddition }

  package mutating func apply(_ changes: CacheChanges) {
    if changes.isResync {
      residents = [:]
      isLost = true
    }
    for block in changes.removed where residents.removeValue(forKey: block.hash) != nil && !isLost {
      withdrawals.append(block)
    }
    for block in changes.added {
      turn += 1
      residents[block.hash] = Resident(block: block, turn: turn)
      if !isLost { additions.append(block.hash) }
    }
    compact()
  }

  /// The directory may have lost what it was told, or never have heard it.
  package mutating func lose() { isLost = true }

  /// Some of the last action may not have arrived.
  package mutating func fail() { hasGap = true }

  /// What to say next, at most `limit` blocks of it; nil when there is nothing now.
  package mutating func next(limit: Int, now: ContinuousClock.Instant) -> Action? {
    if isLost || hasGap && pendingCount == 0 {
      if let lastEpoch, now - lastEpoch < pause { return nil }
      beginEpoch(now: now)
    }
    if !withdrawals.isEmpty {
      let batch = Array(withdrawals.prefix(limit))
      withdrawals.removeFirst(batch.count)
      return .withdraw(batch)
    }
    var batch: [CachedBlock] = []
    while batch.count < limit, firstAddition < additions.count {
      if let resident = residents[additions[firstAddition]] { schedule(resident.block, at: now, into: &batch) }
      firstAddition += 1
    }
    if firstAddition == additions.count {
      additions.removeAll(keepingCapacity: true)
      firstAddition = 0
    }
    while batch.count < limit, firstRenewal < renewals.count, renewals[firstRenewal].due <= now {
      let renewal = renewals[firstRenewal]
      firstRenewal += 1
      if let resident = residents[renewal.hash], resident.turn == renewal.turn {
        schedule(resident.block, at: now, into: &batch)
      }
    }
    return batch.isEmpty ? nil : .announce(batch)
  }

  /// Call it after each action that succeeded, and when there was none.
  package mutating func confirm() {
    guard !isLost, !hasGap, pendingCount == 0 else { return }
    announcedEpoch = epoch
  }

  private mutating func beginEpoch(now: ContinuousClock.Instant) {
    let isOneOfMany = lastEpoch.map { now - $0 < maximumBackoff * 2 } ?? false
    pause = isOneOfMany ? min(max(pause * 2, minimumBackoff), maximumBackoff) : minimumBackoff
    lastEpoch = now
    isLost = false
    hasGap = false
    epoch += 1
    withdrawals = []
    renewals = []
    firstRenewal = 0
    // Ancestors first: a lookup in between then finds short prefixes, not holes.
    additions = residents.values.map(\.block).sorted { ($0.depth, $0.hash) < ($1.depth, $1.hash) }.map(\.hash)
    firstAddition = 0
  }

  private mutating func schedule(_ block: CachedBlock, at now: ContinuousClock.Instant, into batch: inout [CachedBlock])
  {
    turn += 1
    residents[block.hash]?.turn = turn
    renewals.append(Renewal(hash: block.hash, turn: turn, due: now + renewalInterval))
    batch.append(block)
  }

  /// Drops what was overtaken, so that the queues stay in proportion to the residents.
  private mutating func compact() {
    let limit = 2 * residents.count + 1024
    if renewals.count > limit {
      renewals = renewals[firstRenewal...].filter { residents[$0.hash]?.turn == $0.turn }
      firstRenewal = 0
    }
    if additions.count > limit {
      var seen = Set<BlockHash>()
      additions = additions[firstAddition...].filter { residents[$0] != nil && seen.insert($0).inserted }
      firstAddition = 0
    }
    // A directory that is too slow for the withdrawals gets a new epoch instead.
    if withdrawals.count > max(limit, 65_536) { isLost = true }
  }
}
