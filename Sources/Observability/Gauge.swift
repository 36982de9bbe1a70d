import Synchronization

/// A value that goes up and down.
///
/// Lock-free; any thread may change it.
public final class Gauge: Sendable {
  private let bits = Atomic<UInt64>(0)

  package init() {}

  public func set(_ value: Double) { bits.store(value.bitPattern, ordering: .relaxed) }

  public func set(_ value: Int) { set(Double(value)) }

  /// Adds `amount`, which may be negative.
  public func add(_ amount: Double) { bits.addDouble(amount) }

  public func add(_ amount: Int) { add(Double(amount)) }

  public var value: Double { Double(bitPattern: bits.load(ordering: .relaxed)) }
}
