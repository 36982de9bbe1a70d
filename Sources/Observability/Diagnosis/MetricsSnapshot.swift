import ServingTypes

/// What one process exposed at one moment, read from Prometheus' text format.
public struct MetricsSnapshot: Sendable {
  struct Series: Sendable {
    var labels: [String: String]
    var value: Double
  }

  private var series: [String: [Series]] = [:]

  /// Holds nothing; as the first of two snapshots it stands for the process's start.
  public init() {}

  /// - Throws: `invalidArgument` that names the line which is no sample.
  public init(parsing text: String) throws(ServingError) {
    // A carriage return and a line feed are one character.
    let lines = text.split(omittingEmptySubsequences: false) { $0 == "\n" || $0 == "\r\n" }
    for (index, line) in lines.enumerated() {
      var parser = MetricsLineParser(line)
      guard let sample = parser.sample() else {
        if parser.isBlank { continue }
        throw ServingError(.invalidArgument, "line \(index + 1) is no metric: '\(line.prefix(80))'")
      }
      series[sample.name, default: []].append(Series(labels: sample.labels, value: sample.value))
    }
  }

  /// Whether a process of this program speaks.
  public var isBaton: Bool { series.keys.contains { $0.hasPrefix("baton_") } }

  /// The sum over all series of the name that carry these labels; nil when there is none.
  public func value(_ name: String, where labels: [String: String] = [:]) -> Double? {
    let found = (series[name] ?? []).filter { one in labels.allSatisfy { one.labels[$0.key] == $0.value } }
    return found.isEmpty ? nil : found.reduce(0) { $0 + $1.value }
  }

  /// The mean of what a histogram counted since the process's start; nil when that is nothing.
  public func mean(_ name: String) -> Double? {
    guard let count = value(name + "_count"), count > 0, let sum = value(name + "_sum") else { return nil }
    return sum / count
  }

  /// The upper bound of the histogram's bucket that the quantile lies in; nil when nothing was counted.
  public func quantile(_ share: Double, of name: String) -> Double? {
    MetricDistribution(cumulated: buckets(name))?.quantile(share).upper
  }

  /// Cumulated counts by upper bound, ascending, summed over all series of the histogram.
  func buckets(_ name: String) -> [(bound: Double, count: Double)] {
    var counts: [Double: Double] = [:]
    for one in series[name + "_bucket"] ?? [] {
      guard let bound = one.labels["le"].flatMap(MetricsLineParser.number), !bound.isNaN else { continue }
      counts[bound, default: 0] += one.value
    }
    return counts.sorted { $0.key < $1.key }.map { (bound: $0.key, count: $0.value) }
  }
}
