import Synchronization

/// A value that only grows, until its process restarts.
///
/// Lock-free; any thread may add to it.
public final class Counter: Sendable {
  private let bits = Atomic<UInt64>(0)

  package init() {}

  /// Adds `amount`, which must be finite and not negative; anything else is dropped, for a counter never falls.
  public func increment(by amount: Double = 1) {
    guard amount.isFinite, amount > 0 else { return }
    bits.addDouble(amount)
  }

  public func increment(by amount: Int) { increment(by: Double(amount)) }

  public var value: Double { Double(bitPattern: bits.load(ordering: .relaxed)) }
}
