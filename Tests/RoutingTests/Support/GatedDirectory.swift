import Directory
import ServingTypes

/// A directory that can be taken away, as Redis can.
final class GatedDirectory: BlockDirectory {
  let inner = InMemoryDirectory()
  private let open = Lock(true)

  var isOpen: Bool {
    get { open.withLock { $0 } }
    set { open.withLock { $0 = newValue } }
  }

  private func pass() throws(ServingError) {
    if !isOpen { throw ServingError(.unavailable, "the directory is away") }
  }

  var statistics: DirectoryStatistics { inner.statistics }

  func longestPrefixes(_ query: PrefixQuery) async throws(ServingError) -> [WorkerID: CachedPrefix] {
    try pass()
    return try await inner.longestPrefixes(query)
  }
  func workers() async throws(ServingError) -> [WorkerRecord] {
    try pass()
    return try await inner.workers()
  }
  func renewLease(_ record: WorkerRecord, lifetime: Duration) async throws(ServingError) -> Bool {
    try pass()
    return try await inner.renewLease(record, lifetime: lifetime)
  }
  func withdrawLease(_ reference: WorkerReference) async throws(ServingError) {
    try pass()
    try await inner.withdrawLease(reference)
  }
  func announce(
    _ blocks: [CachedBlock], as worker: AnnouncingWorker, lifetime: Duration
  ) async throws(ServingError) {
    try pass()
    try await inner.announce(blocks, as: worker, lifetime: lifetime)
  }
  func withdraw(_ blocks: [CachedBlock], as worker: AnnouncingWorker) async throws(ServingError) {
    try pass()
    try await inner.withdraw(blocks, as: worker)
  }
}
