import Directory
import ServingTestKit
import ServingTypes

/// The directory as one process sees it: sound to the workers, and to the router in the schedule's mood.
final class SimulatedDirectory: BlockDirectory {
  private let inner: InMemoryDirectory
  private let simulation: Simulation
  private let mood: Scenario.DirectoryMood
  /// The process that asks; a dead one reaches nobody.
  private let life: SimulatedLife
  private let memory = Lock<[WorkerRecord]?>(nil)

  init(inner: InMemoryDirectory, simulation: Simulation, mood: Scenario.DirectoryMood, life: SimulatedLife) {
    self.inner = inner
    self.simulation = simulation
    self.mood = mood
    self.life = life
  }

  var statistics: DirectoryStatistics { inner.statistics }

  func longestPrefixes(_ query: PrefixQuery) async throws(ServingError) -> [WorkerID: CachedPrefix] {
    try await reach()
    switch mood {
    case .empty: return [:]
    case .wrong:
      var found: [WorkerID: CachedPrefix] = [:]
      for holder in query.holders {
        found[holder.worker] = CachedPrefix(device: simulation.random(below: query.hashes.count + 1))
      }
      return found
    case .sound, .stale, .slow, .failing: return try await inner.longestPrefixes(query)
    }
  }

  func workers() async throws(ServingError) -> [WorkerRecord] {
    try await reach()
    let records = try await inner.workers()
    switch mood {
    case .stale:
      // What was seen once is seen for a long time.
      let old = memory.withLock { $0 } ?? []
      if old.count >= records.count, !old.isEmpty, !simulation.chance(in: 12) { return old }
      memory.withLock { $0 = records }
      return records
    case .empty: return simulation.chance(in: 3) ? [] : records
    case .sound, .wrong, .slow, .failing: return records
    }
  }

  func renewLease(_ record: WorkerRecord, lifetime: Duration) async throws(ServingError) -> Bool {
    try await reach()
    return try await inner.renewLease(record, lifetime: lifetime)
  }

  func withdrawLease(_ reference: WorkerReference) async throws(ServingError) {
    try await reach()
    try await inner.withdrawLease(reference)
  }

  func announce(
    _ blocks: [CachedBlock], as worker: AnnouncingWorker, lifetime: Duration
  ) async throws(ServingError) {
    try await reach()
    try await inner.announce(blocks, as: worker, lifetime: lifetime)
  }

  func withdraw(_ blocks: [CachedBlock], as worker: AnnouncingWorker) async throws(ServingError) {
    try await reach()
    try await inner.withdraw(blocks, as: worker)
  }

  private func reach() async throws(ServingError) {
    if life.isDead { throw ServingError(.unavailable, "the process is dead") }
    let delay: Duration =
      mood == .slow ? simulation.random(.milliseconds(1)...(.seconds(1))) : .microseconds(200)
    do {
      try await simulation.clock.sleep(for: delay)
    } catch {
      throw ServingError(.cancelled, "cancelled")
    }
    if mood == .failing, simulation.chance(in: 2) { throw ServingError(.unavailable, "the directory is away") }
    if life.isDead { throw ServingError(.unavailable, "the process is dead") }
  }
}
