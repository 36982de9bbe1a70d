import ServingTypes

/// What this router has just routed where: known at once, before any worker announces it, and all that is known while
/// the directory is away.
package struct PrefixOverlay {
  private struct Holder {
    /// The worker's place in `workers`.
    var place: Int
    var incarnation: Incarnation
    var routed: ContinuousClock.Instant
  }

  private struct Note {
    var hash: BlockHash
    var place: Int
    var routed: ContinuousClock.Instant
  }

  /// A worker that notes speak of. A lookup goes through thousands of holders, and numbers compare faster than names.
  private struct Worker {
    var id: WorkerID
    var notes = 0
  }

  private let capacity: Int
  private var holders: [BlockHash: [Holder]] = [:]
  /// In order of time; the first `firstNote` are spent.
  private var notes: [Note] = []
  private var firstNote = 0
  private var workers: [Worker?] = []
  private var places: [WorkerID: Int] = [:]

  package init(capacity: Int) { self.capacity = capacity }

  package var count: Int { notes.count - firstNote }

  package mutating func insert(
    _ hashes: [BlockHash], worker: WorkerID, incarnation: Incarnation, now: ContinuousClock.Instant
  ) {
    guard !hashes.isEmpty, capacity > 0 else { return }
    let place = place(of: worker)
    let new = Holder(place: place, incarnation: incarnation, routed: now)
    for hash in hashes.prefix(capacity) {
      let index = holders[hash]?.firstIndex { $0.place == place }
      if let index { holders[hash]?[index] = new } else { holders[hash, default: []].append(new) }
      notes.append(Note(hash: hash, place: place, routed: now))
    }
    workers[place]?.notes += min(hashes.count, capacity)
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
    let lives = workers.map { worker in worker.flatMap { incarnations[$0.id] } }
    var depths = [Int](repeating: 0, count: workers.count)
    for (index, hash) in hashes.enumerated() {
      guard let list = holders[hash] else { break }
      var isHeld = false
      for holder in list
      where depths[holder.place] == index && holder.routed >= since && lives[holder.place] == holder.incarnation {
        depths[holder.place] = index + 1
        isHeld = true
      }
      if !isHeld { break }
    }
    var found: [WorkerID: Int] = [:]
    for (place, depth) in depths.enumerated() where depth > 0 {
      if let worker = workers[place] { found[worker.id] = depth }
    }
    return found
  }

  private mutating func place(of worker: WorkerID) -> Int {
    if let place = places[worker] { return place }
    let place = workers.firstIndex { $0 == nil } ?? workers.count
    if place == workers.count { workers.append(nil) }
    workers[place] = Worker(id: worker)
    places[worker] = place
    return place
  }

  private mutating func forgetOldest() {
    let note = notes[firstNote]
    firstNote += 1
    if var list = holders[note.hash] {
      // A newer note for the same worker keeps the holder.
      list.removeAll { $0.place == note.place && $0.routed <= note.routed }
      holders[note.hash] = list.isEmpty ? nil : list
    }
    guard let worker = workers[note.place] else { return }
    workers[note.place]?.notes -= 1
    guard worker.notes == 1 else { return }
    places[worker.id] = nil
    workers[note.place] = nil
  }
}
