import Observability

/// The latencies that a decode worker measures itself.
public struct DecodeMetrics: Sendable {
  private let timeToFirstToken: Histogram
  private let interTokenLatency: Histogram

  public init(_ registry: MetricsRegistry) {
    timeToFirstToken = registry.histogram(
      "time_to_first_token_seconds", help: "From a request's arrival at this worker to its first token.",
      buckets: MetricBuckets.timeToFirstToken)
    interTokenLatency = registry.histogram(
      "inter_token_latency_seconds", help: "Between two tokens of one sample; tokens of one step share it.",
      buckets: MetricBuckets.interTokenLatency)
  }

  func firstToken(seconds: Double) { timeToFirstToken.observe(seconds) }

  func tokens(_ count: Int, seconds: Double) {
    for _ in 0..<count { interTokenLatency.observe(seconds / Double(count)) }
  }
}
