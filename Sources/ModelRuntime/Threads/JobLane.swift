import Synchronization

/// One thread's share of a job: generation (24 bits), number of tasks (20), next task (20), on cache lines of its own.
struct JobLane: ~Copyable {
  static let countBits: UInt64 = 20
  static let countMask: UInt64 = (1 << countBits) - 1

  private let word = Atomic<UInt64>(0)
  /// Processors fetch lines in pairs.
  private let padding: (UInt64, UInt64, UInt64, UInt64, UInt64, UInt64, UInt64) = (0, 0, 0, 0, 0, 0, 0)
  private let morePadding: (UInt64, UInt64, UInt64, UInt64, UInt64, UInt64, UInt64, UInt64) = (0, 0, 0, 0, 0, 0, 0, 0)

  /// Offers tasks 0 to `count` − 1 of the job of that generation.
  func publish(generation: Int, count: Int) {
    let tag = UInt64(truncatingIfNeeded: generation) << (2 * Self.countBits)
    word.store(tag | UInt64(count) << Self.countBits, ordering: .sequentiallyConsistent)
  }

  /// Takes the next task; nil when there is none.
  func claim() -> Int? {
    var current = word.load(ordering: .acquiring)
    while current & Self.countMask < (current >> Self.countBits) & Self.countMask {
      let (exchanged, original) = word.compareExchange(
        expected: current, desired: current + 1, ordering: .acquiringAndReleasing)
      if exchanged { return Int(current & Self.countMask) }
      current = original
    }
    return nil
  }
}
