/// A histogram's counts, from which quantiles are estimated.
struct MetricDistribution {
  /// A quantile, and the bounds of the bucket in which it lies.
  struct Quantile {
    var value: Double
    var lower: Double
    var upper: Double
  }

  private let cumulated: [(bound: Double, count: Double)]
  let count: Double

  /// Nil when nothing was counted.
  init?(cumulated: [(bound: Double, count: Double)]) {
    guard let total = cumulated.last?.count, total > 0 else { return nil }
    self.cumulated = cumulated
    count = total
  }

  /// Linear within the bucket; in the last bucket, which has no end, its lower bound.
  func quantile(_ share: Double) -> Quantile {
    let rank = share * count
    var lower = 0.0
    var below = 0.0
    for (bound, count) in cumulated {
      if count >= rank, count > below {
        guard bound.isFinite else { return Quantile(value: lower, lower: lower, upper: .infinity) }
        let value = lower + (bound - lower) * (rank - below) / (count - below)
        return Quantile(value: value, lower: lower, upper: bound)
      }
      lower = bound
      below = count
    }
    return Quantile(value: lower, lower: lower, upper: lower)
  }
}
