/// Which waiting request is admitted next, among those of the same priority.
public enum BatchSchedulerPolicy: String, Hashable, Sendable, CaseIterable {
  /// The one that came first.
  case fifo
  /// The one that came last.
  case lifo
}
