import ServingTypes

/// Who lives, and who holds which blocks.
///
/// Advisory: whatever it says may be stale or wrong, and any call may fail with `unavailable`, `deadlineExceeded`,
/// `resourceExhausted` or `dataLoss`; that costs cache hits, never an answer. Every call returns within a
/// bounded time. Any thread.
public protocol BlockDirectory: Sendable {
  /// The longest run of leading blocks that each holder has; holders that have none are left out.
  func longestPrefixes(_ query: PrefixQuery) async throws(ServingError) -> [WorkerID: CachedPrefix]

  /// The workers whose lease is live.
  func workers() async throws(ServingError) -> [WorkerRecord]

  /// Takes or renews the worker's lease.
  /// - Returns: whether this incarnation held one; if it did before and does not now, the directory lost its memory.
  func renewLease(_ record: WorkerRecord, lifetime: Duration) async throws(ServingError) -> Bool

  /// Ends the lease of this incarnation, also when the calling task is cancelled.
  func withdrawLease(_ reference: WorkerReference) async throws(ServingError)

  /// Says that the worker holds the blocks, ancestors before descendants; forgotten after `lifetime`.
  func announce(_ blocks: [CachedBlock], as worker: AnnouncingWorker, lifetime: Duration) async throws(ServingError)

  /// Says that the worker holds the blocks no more, descendants before ancestors.
  func withdraw(_ blocks: [CachedBlock], as worker: AnnouncingWorker) async throws(ServingError)

  var statistics: DirectoryStatistics { get }
}
