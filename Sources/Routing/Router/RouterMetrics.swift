import Directory
import Observability
import ServingTypes

/// What the router counts.
struct RouterMetrics: Sendable {
  private struct DecisionLabels: Hashable {
    var worker: WorkerID
    var isDisaggregated: Bool
  }

  private let registry: MetricsRegistry
  private let requests: [String: Counter]
  /// Those that were looked up before, as many as the registry keeps apart.
  private let decisions = Lock<[DecisionLabels: Counter]>([:])
  private let migrations: Counter
  private let refusals: Counter
  private let lost: Counter
  private let stalls: Counter
  private let promptBlocks: Counter
  private let predictedBlocks: Counter
  private let actualBlocks: Counter
  /// In the order of `costTermNames`.
  private let decodeCosts: [Histogram]
  private let prefillCosts: [Histogram]
  private static let costTermNames = ["prefill", "cached", "pending", "active", "waiting", "recent"]
  private static let blockBuckets: [Double] = [0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096]
  private let lookupSeconds: Histogram
  private let lookupErrors: Counter
  private let decisionSeconds: Histogram
  private let firstToken: Histogram
  private let duration: Histogram

  init(registry: MetricsRegistry) {
    self.registry = registry
    let statuses = ["ok"] + ServingError.Code.allCases.map(\.rawValue)
    requests = Dictionary(
      uniqueKeysWithValues: statuses.map { status in
        (
          status,
          registry.counter("router_requests", help: "Requests by how they ended.", labels: [("status", status)])
        )
      })
    migrations = registry.counter("router_migrations", help: "Requests reopened on another worker.")
    refusals = registry.counter("router_refusals", help: "Requests that a worker refused for overload.")
    lost = registry.counter("router_lost_streams", help: "Streams from decode workers that died.")
    stalls = registry.counter(
      "router_stalled_streams", help: "Streams given up because their decode worker was silent and did not answer.")
    promptBlocks = registry.counter("router_prompt_blocks", help: "Full blocks of routed prompts.")
    predictedBlocks = registry.counter(
      "router_predicted_cached_blocks", help: "Blocks of routed prompts that the chosen decode worker was said to hold."
    )
    actualBlocks = registry.counter(
      "router_actual_cached_blocks", help: "Blocks of routed prompts that their decode worker did hold.")
    func costs(of role: WorkerRole) -> [Histogram] {
      Self.costTermNames.map { term in
        registry.histogram(
          "router_cost_blocks", help: "The chosen workers' costs by role and term, in blocks.",
          buckets: Self.blockBuckets, labels: [("role", role.rawValue), ("term", term)])
      }
    }
    (decodeCosts, prefillCosts) = (costs(of: .decode), costs(of: .prefill))
    lookupSeconds = registry.histogram(
      "directory_lookup_seconds", help: "Time to ask the directory for the longest prefixes.",
      buckets: MetricBuckets.call)
    lookupErrors = registry.counter(
      "directory_lookup_errors", help: "Lookups that failed and were answered by the router's own memory.")
    decisionSeconds = registry.histogram(
      "router_decision_seconds", help: "Time to choose the workers of a request, the directory's answer not counted.",
      buckets: MetricBuckets.decision)
    firstToken = registry.histogram(
      "router_time_to_first_token_seconds", help: "From a request's arrival to its first token.",
      buckets: MetricBuckets.timeToFirstToken)
    duration = registry.histogram(
      "router_request_seconds", help: "From a request's arrival to its end.", buckets: MetricBuckets.request)
  }

  func finished(_ status: String, seconds: Double) {
    requests[status]?.increment()
    duration.observe(seconds)
  }

  func decided(_ decision: RoutingDecision, promptBlocks blocks: Int) {
    counter(of: decision).increment()
    promptBlocks.increment(by: blocks)
    predictedBlocks.increment(by: min(blocks, decision.predicted.blocks))
    observeCost(of: decision.decode.id, in: decision, decodeCosts)
    if decision.isDisaggregated, let prefill = decision.prefill.first {
      observeCost(of: prefill.id, in: decision, prefillCosts)
    }
  }

  private func observeCost(of worker: WorkerID, in decision: RoutingDecision, _ histograms: [Histogram]) {
    guard let cost = decision.costs.first(where: { $0.worker == worker }) else { return }
    for (histogram, value) in zip(
      histograms, [cost.prefill, cost.cached, cost.pending, cost.active, cost.waiting, cost.recent])
    {
      histogram.observe(value)
    }
  }

  private func counter(of decision: RoutingDecision) -> Counter {
    let labels = DecisionLabels(worker: decision.decode.id, isDisaggregated: decision.isDisaggregated)
    return decisions.withLock { decisions in
      if let counter = decisions[labels] { return counter }
      let counter = registry.counter(
        "router_decisions", help: "Routing decisions by decode worker and path of the prefill.",
        labels: [("worker", labels.worker.value), ("path", labels.isDisaggregated ? "disaggregated" : "local")])
      if decisions.count < MetricsRegistry.defaultMaximumSeries { decisions[labels] = counter }
      return counter
    }
  }

  /// What the decode worker found in its cache, beside what was predicted.
  func reused(tokens: Int, blockSize: Int) { actualBlocks.increment(by: tokens / blockSize) }

  func lookedUp(seconds: Double, failed: Bool) {
    lookupSeconds.observe(seconds)
    if failed { lookupErrors.increment() }
  }

  func chose(seconds: Double) { decisionSeconds.observe(seconds) }
  func sawFirstToken(seconds: Double) { firstToken.observe(seconds) }
  func migrated() { migrations.increment() }
  func refused() { refusals.increment() }
  func lostStream() { lost.increment() }
  func stalledStream() { stalls.increment() }

  func prefillFailed(_ failure: PrefillFailure) {
    registry.counter(
      "router_prefill_failures", help: "Prefill workers that could not help a request, by reason.",
      labels: [("worker", failure.worker.id.value), ("code", failure.code.rawValue)]
    ).increment()
  }

  /// Values that live elsewhere, read at each exposition.
  static func collect(
    _ collector: MetricsCollector, inFlight: Int, bodyBytes: Int, workers: [RegisteredWorker],
    directory: DirectoryStatistics?, now: ContinuousClock.Instant
  ) {
    collector.gauge("router_in_flight", help: "Requests under way.", inFlight)
    collector.gauge("router_body_bytes", help: "Bytes of the bodies of requests under way.", bodyBytes)
    for role in WorkerRole.allCases {
      collector.gauge(
        "router_workers", help: "Workers with a live lease that take requests, by role.",
        workers.count { $0.isLeased && !$0.record.isDraining && $0.record.role == role },
        labels: [("role", role.rawValue)])
    }
    directory?.collect(collector, now: now)
  }
}
