/// Two snapshots of one process, and what happened between them.
public struct MetricsWindow: Sendable {
  let before: MetricsSnapshot
  let after: MetricsSnapshot
  /// Whether two moments were read, so that a gauge's change can be told; otherwise counters go back to the start.
  let hasTwoReadings: Bool

  /// - Parameter before: nil to look at everything since the process's start.
  public init(from before: MetricsSnapshot? = nil, to after: MetricsSnapshot) {
    self.before = before ?? MetricsSnapshot()
    self.after = after
    hasTwoReadings = before != nil
  }

  /// How much a counter grew; after a restart, what it has counted since. Nil when it is not exported.
  func increase(_ metric: DiagnosisMetric, where labels: [String: String] = [:]) -> Double? {
    guard let new = after.value(metric.name, where: labels) else { return nil }
    let old = before.value(metric.name, where: labels) ?? 0
    return new < old ? new : new - old
  }

  /// A gauge's last value.
  func last(_ metric: DiagnosisMetric) -> Double? { after.value(metric.name) }

  /// A gauge's first value, nil when there is one reading alone.
  func first(_ metric: DiagnosisMetric) -> Double? { hasTwoReadings ? before.value(metric.name) : nil }

  /// The smaller of a gauge's values, for what must hold at both moments.
  func least(_ metric: DiagnosisMetric) -> Double? {
    guard let last = last(metric) else { return nil }
    return first(metric).map { min($0, last) } ?? last
  }

  /// What a histogram counted meanwhile, nil when that is nothing.
  func distribution(_ metric: DiagnosisMetric) -> MetricDistribution? {
    let new = after.buckets(metric.name)
    let old = before.buckets(metric.name)
    let isContinued =
      old.count == new.count && zip(old, new).allSatisfy { $0.bound == $1.bound && $0.count <= $1.count }
    let cumulated =
      isContinued ? zip(old, new).map { (bound: $1.bound, count: $1.count - $0.count) } : new
    return MetricDistribution(cumulated: cumulated)
  }
}
