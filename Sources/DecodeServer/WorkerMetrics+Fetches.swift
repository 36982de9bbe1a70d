import Engine
import Observability

// Prefix blocks that came from other workers.
extension WorkerMetrics {
  static func fetches(_ engine: EngineStatistics, blockBytes: Int, _ collector: MetricsCollector) {
    let fetches = engine.fetches
    collector.counter("fetches", help: "Times that other workers were asked for a prefix.", Int(fetches.started))
    collector.counter("fetches_completed", help: "Fetches of which every block came.", Int(fetches.completed))
    collector.counter("fetch_blocks", help: "Blocks that were fetched, verified and used.", Int(fetches.blocks))
    collector.counter("fetch_bytes", help: "Payload of those blocks.", Int(fetches.blocks) * blockBytes)
    collector.counter("fetch_seconds", help: "Time that requests waited for fetches, summed up.", fetches.seconds)
    collector.counter(
      "fetch_estimated_seconds", help: "What these fetches had been estimated to take.", fetches.estimatedSeconds)
    collector.counter(
      "fetch_bypasses", help: "Prefixes held elsewhere that were computed because that was estimated to be faster.",
      Int(fetches.bypasses))
    for failure in FetchFailure.allCases {
      collector.counter(
        "fetch_failures", help: "Fetches that brought less than was asked for, by reason.",
        Int(fetches.failures(failure)), labels: [("reason", failure.rawValue)])
    }
  }
}
