import Synchronization

/// An atomic number on cache lines of its own, so that threads which watch it are not slowed by its neighbours.
struct PaddedCounter: ~Copyable {
  let value = Atomic<Int>(0)
  private let padding: (UInt64, UInt64, UInt64, UInt64, UInt64, UInt64, UInt64) = (0, 0, 0, 0, 0, 0, 0)
  private let morePadding: (UInt64, UInt64, UInt64, UInt64, UInt64, UInt64, UInt64, UInt64) = (0, 0, 0, 0, 0, 0, 0, 0)
}
