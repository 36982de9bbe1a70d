/// Gathers the values of one exposition.
///
/// Handed to the closures of `MetricsRegistry.onCollect`, and good only during the call. When two closures report
/// the same name and labels, the values of counters and histograms are added and the later gauge stays.
public final class MetricsCollector {
  private let maximumSeries: Int
  private var families: [String: MetricFamily] = [:]
  private var overflows: [String: Int] = [:]

  init(maximumSeries: Int) { self.maximumSeries = maximumSeries }

  /// Reports a total that is counted elsewhere.
  public func counter(_ name: String, help: String, _ value: Double, labels: [(String, String)] = []) {
    let name = MetricsRegistry.fullName(name, kind: .counter)
    add(name, .counter, help, MetricLabels(labels), .number(value))
  }

  public func counter(_ name: String, help: String, _ value: Int, labels: [(String, String)] = []) {
    counter(name, help: help, Double(value), labels: labels)
  }

  public func gauge(_ name: String, help: String, _ value: Double, labels: [(String, String)] = []) {
    add(MetricsRegistry.fullName(name, kind: .gauge), .gauge, help, MetricLabels(labels), .number(value))
  }

  public func gauge(_ name: String, help: String, _ value: Int, labels: [(String, String)] = []) {
    gauge(name, help: help, Double(value), labels: labels)
  }

  /// Reports a histogram that is counted elsewhere.
  ///
  /// - Parameters:
  ///   - bounds: the buckets' upper bounds, without infinity.
  ///   - value: counts per bucket, one more than there are bounds.
  public func histogram(
    _ name: String, help: String, bounds: [Double], _ value: HistogramValue, labels: [(String, String)] = []
  ) {
    precondition(value.counts.count == bounds.count + 1, "one count per bucket and one for the rest")
    let name = MetricsRegistry.fullName(name, kind: .histogram)
    add(name, .histogram, help, MetricLabels(labels), .histogram(bounds: bounds, value))
  }

  func add(
    _ name: String, _ kind: MetricKind, _ help: String, _ labels: MetricLabels, _ value: MetricFamily.Value,
    isLimited: Bool = true
  ) {
    var family = families[name] ?? MetricFamily(kind: kind, help: help)
    precondition(family.kind == kind, "\(name) is a \(family.kind.rawValue), not a \(kind.rawValue)")
    var key = labels
    if isLimited, family.series[key] == nil, family.series.count >= maximumSeries {
      key = labels.overflow
      if key != labels { overflows[name, default: 0] += 1 }
    }
    switch (family.series[key], value) {
    case (.number(let old)?, .number(let new)) where kind == .counter: family.series[key] = .number(old + new)
    case (.histogram(let bounds, var old)?, .histogram(let newBounds, let new)) where bounds == newBounds:
      for index in old.counts.indices { old.counts[index] += new.counts[index] }
      old.sum += new.sum
      family.series[key] = .histogram(bounds: bounds, old)
    default: family.series[key] = value
    }
    families[name] = family
  }

  func countOverflow(of name: String, _ count: Int) { overflows[name, default: 0] += count }

  func exposition() -> String {
    var families = families
    if !overflows.isEmpty {
      var family = MetricFamily(kind: .counter, help: "Requests for a series beyond its metric's limit.")
      for (name, count) in overflows { family.series[MetricLabels([("metric", name)])] = .number(Double(count)) }
      families["baton_metrics_overflow_total"] = family
    }
    var output = ""
    for (name, family) in families.sorted(by: { $0.key < $1.key }) { family.write(name: name, to: &output) }
    return output
  }
}
