import ServingTypes

/// What this router has just routed where: known at once, before any worker announces it, and all that is known while
/// the directory is away.
package struct PrefixOverlay {
  private struct Holder {
    var worker: WorkerID
    var incarnation: Incarnation
    var routed: ContinuousClock.Instant
  }

  private struct Note {
    var hash: BlockHash
    var worker: WorkerID
    var routed: ContinuousClock.Instant
  }

  private let capacity: Int
  private var holders: [BlockHash: [Holder]] = [:]
  /// In order of time; the first `firstNote` are spent.
  private var notes: [Note] = []
  private var firstNote = 0

  package init(capacity: Int) { self.capacity = capacity }

  package var count: Int { notes.count - firstNote }

  package mutating func insert(
    _ hashes: [BlockHash], worker: WorkerID, incarnation: Incarnation, now: ContinuousClock.Instant
  ) {
    for hash in hashes.prefix(capacity) {
      var list = holders[hash] ?? []
      list.removeAll { $0.worker == worker }
      list.append(Holder(worker: worker, incarnation: incarnation, routed: now))
      holders[hash] = list
      notes.append(Note(hash: hash, worker: worker, routed: now))
    }
    while count > capacity { forgetOldest() }
    if firstNote > 4096, firstNote * 2 > notes.count {
      notes.removeFirst(firstNote)
      firstNote = 0
    }
  }

  /// Leading blocks that were routed to each worker's incarnation not before `since`.
  package func longestPrefixes(
    _ hashes: [BlockHash], incarnations: [WorkerID: Incarnation], since: ContinuousClock.Instant
  ) -> [WorkerID: Int] {
    var depths: [WorkerID: Int] = [:]
    for (index, hash) in hashes.enumerated() {
      var isHeld = false
      for holder in holders[hash] ?? []
      where holder.routed >= since && incarnations[holder.worker] == holder.incarnation
        && depths[holder.worker, default: 0] == index
      {
        depths[holder.worker] = index + 1
        isHeld = true
      }
      if !isHeld { break }
    }
    return depths
  }

  private mutating func forgetOldest() {
    let note = notes[firstNote]
    firstNote += 1
    guard var list = holders[note.hash] else { return }
    // A newer note for the same worker keeps the holder.
    list.removeAll { $0.worker == note.worker && $0.routed <= note.routed }
    holders[note.hash] = list.isEmpty ? nil : list
  }
}
