extension [Double] {
  /// The value below which the share lies, interpolated between neighbours; 0 of nothing.
  public func quantile(_ share: Double) -> Double {
    guard !isEmpty else { return 0 }
    let sorted = sorted()
    let place = Swift.min(Swift.max(share, 0), 1) * Double(count - 1)
    let index = Int(place)
    let next = Swift.min(index + 1, count - 1)
    return sorted[index] + (sorted[next] - sorted[index]) * (place - Double(index))
  }

  public var median: Double { quantile(0.5) }

  public var mean: Double { isEmpty ? 0 : reduce(0, +) / Double(count) }
}
