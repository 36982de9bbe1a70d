/// What a histogram has counted.
public struct HistogramValue: Sendable, Hashable {
  /// Observations in each bucket, not cumulated; one more than there are bounds, for the bucket up to infinity.
  public var counts: [UInt64]
  public var sum: Double

  public init(counts: [UInt64], sum: Double) {
    self.counts = counts
    self.sum = sum
  }

  public var count: UInt64 { counts.reduce(0, +) }
}
