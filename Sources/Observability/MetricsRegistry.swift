import ServingTypes

/// A process's metrics, in Prometheus' text format.
///
/// Names get the prefix `baton_`, and counters the suffix `_total`. The same name and labels give the same instance. A
/// name that is used with two types is a programming error. Each name holds at most `maximumSeries` label
/// sets; what goes beyond is gathered under the value `other`, so that totals stay right, and counted in
/// `baton_metrics_overflow_total`. Any thread may call any method.
public final class MetricsRegistry: Sendable {
  public static let defaultMaximumSeries = 256

  private enum Instrument: Sendable {
    case counter(Counter)
    case gauge(Gauge)
    case histogram(Histogram)

    var value: MetricFamily.Value {
      switch self {
      case .counter(let counter): .number(counter.value)
      case .gauge(let gauge): .number(gauge.value)
      case .histogram(let histogram): .histogram(bounds: histogram.bounds, histogram.value)
      }
    }
  }

  private struct Family: Sendable {
    let kind: MetricKind
    let help: String
    var series: [MetricLabels: Instrument] = [:]
    var overflowed = 0
  }

  private struct State: Sendable {
    var families: [String: Family] = [:]
    var bodies: [@Sendable (MetricsCollector) -> Void] = []
  }

  private let maximumSeries: Int
  private let state = Lock(State())

  public init(maximumSeries: Int = MetricsRegistry.defaultMaximumSeries) {
    precondition(maximumSeries > 0, "at least one series per name")
    self.maximumSeries = maximumSeries
  }

  public func counter(_ name: String, help: String, labels: [(String, String)] = []) -> Counter {
    let name = Self.fullName(name, kind: .counter)
    let instrument = instrument(name, .counter, help, labels) { .counter(Counter()) }
    guard case .counter(let counter) = instrument else { preconditionFailure("\(name) is no counter") }
    return counter
  }

  public func gauge(_ name: String, help: String, labels: [(String, String)] = []) -> Gauge {
    let name = Self.fullName(name, kind: .gauge)
    let instrument = instrument(name, .gauge, help, labels) { .gauge(Gauge()) }
    guard case .gauge(let gauge) = instrument else { preconditionFailure("\(name) is no gauge") }
    return gauge
  }

  /// - Parameter buckets: upper bounds, ascending, without infinity; see `MetricBuckets`.
  public func histogram(
    _ name: String, help: String, buckets: [Double], labels: [(String, String)] = []
  ) -> Histogram {
    let name = Self.fullName(name, kind: .histogram)
    let instrument = instrument(name, .histogram, help, labels) { .histogram(Histogram(bounds: buckets)) }
    guard case .histogram(let histogram) = instrument else { preconditionFailure("\(name) is no histogram") }
    return histogram
  }

  /// Calls `body` at each exposition, to report values that live elsewhere, for example an engine's statistics.
  public func onCollect(_ body: @escaping @Sendable (MetricsCollector) -> Void) {
    state.withLock { $0.bodies.append(body) }
  }

  /// Everything, in Prometheus' text format 0.0.4, in a stable order.
  public func exposition() -> String {
    let (bodies, own) = state.withLock { ($0.bodies, $0.families) }
    let collector = MetricsCollector(maximumSeries: maximumSeries)
    for body in bodies { body(collector) }
    for (name, family) in own.sorted(by: { $0.key < $1.key }) {
      for (labels, instrument) in family.series {
        collector.add(name, family.kind, family.help, labels, instrument.value, isLimited: false)
      }
      if family.overflowed > 0 { collector.countOverflow(of: name, family.overflowed) }
    }
    return collector.exposition()
  }

  private func instrument(
    _ name: String, _ kind: MetricKind, _ help: String, _ labels: [(String, String)],
    make: @Sendable () -> Instrument
  ) -> Instrument {
    let labels = MetricLabels(labels)
    return state.withLock { state in
      var family = state.families[name] ?? Family(kind: kind, help: help)
      precondition(family.kind == kind, "\(name) is a \(family.kind.rawValue), not a \(kind.rawValue)")
      defer { state.families[name] = family }
      if let known = family.series[labels] { return known }
      var key = labels
      if family.series.count >= maximumSeries {
        family.overflowed += 1
        key = labels.overflow
        if let known = family.series[key] { return known }
      }
      let new = make()
      family.series[key] = new
      return new
    }
  }

  static func fullName(_ name: String, kind: MetricKind) -> String {
    precondition(!name.isEmpty && name.utf8.allSatisfy(MetricLabels.isNameByte), "'\(name)' is no metric name")
    let name = name.hasPrefix("baton_") ? name : "baton_" + name
    return kind == .counter && !name.hasSuffix("_total") ? name + "_total" : name
  }
}
