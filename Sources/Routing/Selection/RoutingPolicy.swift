/// How the router chooses among the workers that could serve a request.
public enum RoutingPolicy: String, Hashable, Sendable, CaseIterable {
  /// By prompt blocks left to compute and load together.
  case prefix
  /// By load alone.
  case leastLoaded = "least_loaded"
  case roundRobin = "round_robin"
  case random
}
