import Observability
import ServingTypes

/// What the HTTP API measures of itself. The workers measure their own part.
final class APIMetrics: Sendable {
  let registry: MetricsRegistry
  let inFlight: Gauge
  let requestRate = RequestRate()
  let tokenRate = RequestRate()
  private let refused: Counter

  init(registry: MetricsRegistry) {
    self.registry = registry
    inFlight = registry.gauge("http_requests_in_flight", help: "Generations that the HTTP API is answering.")
    refused = registry.counter("http_requests_refused", help: "Generations refused because too many were in flight.")
  }

  func countRefusal() { refused.increment() }

  func finished(route: String, status: Int, seconds: Double) {
    registry.counter(
      "http_requests", help: "HTTP requests answered, by path and status.",
      labels: [("path", route), ("status", String(status))]
    ).increment()
    registry.histogram(
      "http_request_duration_seconds", help: "From an HTTP request's arrival to the end of its answer.",
      buckets: MetricBuckets.request, labels: [("path", route)]
    ).observe(seconds)
  }

  func abandoned(_ reason: HTTPListener.Abandonment) {
    registry.counter(
      "http_clients_gone", help: "Clients that left, or stopped reading, before their answer was finished.",
      labels: [("reason", reason == .clientGone ? "disconnected" : "stalled")]
    ).increment()
  }

  func firstToken(route: String, seconds: Double) {
    registry.histogram(
      "http_time_to_first_token_seconds", help: "From an HTTP request's arrival to its first token.",
      buckets: MetricBuckets.timeToFirstToken, labels: [("path", route)]
    ).observe(seconds)
  }
}
