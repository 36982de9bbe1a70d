import Directory
import ServingTypes

/// A directory that refuses some blocks, and may claim to have lost its memory.
final class RefusingDirectory: BlockDirectory {
  struct Behaviour: Sendable {
    var refuses: @Sendable (CachedBlock) -> Bool = { _ in false }
    var possibleLosses = 0
    /// Announcements and withdrawals so far.
    var calls = 0
  }

  let inner: InMemoryDirectory
  let behaviour = Lock(Behaviour())

  init(now: @escaping @Sendable () -> ContinuousClock.Instant = { .now }) { inner = InMemoryDirectory(now: now) }

  var statistics: DirectoryStatistics {
    var statistics = inner.statistics
    statistics.possibleLosses = behaviour.withLock { $0.possibleLosses }
    return statistics
  }

  func longestPrefixes(_ query: PrefixQuery) async throws(ServingError) -> [WorkerID: CachedPrefix] {
    try await inner.longestPrefixes(query)
  }
  func workers() async throws(ServingError) -> [WorkerRecord] { try await inner.workers() }
  func renewLease(_ record: WorkerRecord, lifetime: Duration) async throws(ServingError) -> Bool {
    try await inner.renewLease(record, lifetime: lifetime)
  }
  func withdrawLease(_ reference: WorkerReference) async throws(ServingError) {
    try await inner.withdrawLease(reference)
  }
  func announce(
    _ blocks: [CachedBlock], as worker: AnnouncingWorker, lifetime: Duration
  ) async throws(ServingError) {
    let kept = take(blocks)
    try await inner.announce(kept, as: worker, lifetime: lifetime)
    if kept.count < blocks.count { throw ServingError(.unavailable, "a part is away") }
  }
  func withdraw(_ blocks: [CachedBlock], as worker: AnnouncingWorker) async throws(ServingError) {
    let kept = take(blocks)
    try await inner.withdraw(kept, as: worker)
    if kept.count < blocks.count { throw ServingError(.unavailable, "a part is away") }
  }

  private func take(_ blocks: [CachedBlock]) -> [CachedBlock] {
    behaviour.withLock { behaviour in
      behaviour.calls += 1
      return blocks.filter { !behaviour.refuses($0) }
    }
  }
}
