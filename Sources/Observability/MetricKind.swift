/// What a metric's name stands for in the exposition.
enum MetricKind: String, Hashable, Sendable {
  case counter
  case gauge
  case histogram
}
