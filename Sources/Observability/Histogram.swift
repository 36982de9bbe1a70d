import ServingTypes

/// Counts observations in buckets that are fixed when it is made.
///
/// Any thread may observe; one short lock per observation.
public final class Histogram: Sendable {
  /// The buckets' upper bounds, ascending; the last bucket, up to infinity, is implied.
  public let bounds: [Double]
  private let state: Lock<HistogramValue>

  package init(bounds: [Double]) {
    precondition(zip(bounds, bounds.dropFirst()).allSatisfy { $0 < $1 }, "histogram buckets must ascend")
    precondition(bounds.allSatisfy(\.isFinite), "the infinite bucket is implied")
    self.bounds = bounds
    state = Lock(HistogramValue(counts: Array(repeating: 0, count: bounds.count + 1), sum: 0))
  }

  /// Counts `value` in its bucket; a value that is no number is dropped.
  public func observe(_ value: Double) {
    guard !value.isNaN else { return }
    var low = 0
    var high = bounds.count
    while low < high {
      let middle = (low + high) / 2
      if value <= bounds[middle] { high = middle } else { low = middle + 1 }
    }
    let bucket = low
    state.withLock { state in
      state.counts[bucket] += 1
      state.sum += value
    }
  }

  public func observe(_ duration: Duration) { observe(duration.inSeconds) }

  package var value: HistogramValue { state.withLock { $0 } }
}
