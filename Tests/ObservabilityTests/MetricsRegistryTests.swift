import Observability
import Testing

@Suite struct MetricsRegistryTests {
  @Test func writesEachKindInAStableOrder() {
    let registry = MetricsRegistry()
    registry.histogram("step_seconds", help: "Step.", buckets: [0.5, 1, 2.5]).observe(1)
    registry.gauge("kv_active_blocks", help: "Blocks.", labels: [("tier", "host")]).set(3)
    registry.gauge("kv_active_blocks", help: "Blocks.", labels: [("tier", "device")]).set(1.5)
    registry.counter("requests", help: "Requests.").increment()
    registry.counter("requests_total", help: "Requests.").increment(by: 2)
    #expect(
      registry.exposition() == """
        # HELP baton_kv_active_blocks Blocks.
        # TYPE baton_kv_active_blocks gauge
        baton_kv_active_blocks{tier="device"} 1.5
        baton_kv_active_blocks{tier="host"} 3
        # HELP baton_requests_total Requests.
        # TYPE baton_requests_total counter
        baton_requests_total 3
        # HELP baton_step_seconds Step.
        # TYPE baton_step_seconds histogram
        baton_step_seconds_bucket{le="0.5"} 0
        baton_step_seconds_bucket{le="1"} 1
        baton_step_seconds_bucket{le="2.5"} 1
        baton_step_seconds_bucket{le="+Inf"} 1
        baton_step_seconds_sum 1
        baton_step_seconds_count 1

        """)
  }

  @Test func labelOrderDoesNotMakeANewSeries() {
    let registry = MetricsRegistry()
    let first = registry.counter("x", help: "", labels: [("b", "2"), ("a", "1")])
    let second = registry.counter("x", help: "", labels: [("a", "1"), ("b", "2")])
    #expect(first === second)
  }

  @Test func escapesHelpAndLabelValues() {
    let registry = MetricsRegistry()
    registry.gauge("x", help: "a\\b\nc", labels: [("path", "C:\\\"q\"\n")]).set(1)
    let text = registry.exposition()
    #expect(text.contains("# HELP baton_x a\\\\b\\nc\n"))
    #expect(text.contains(#"baton_x{path="C:\\\"q\"\n"} 1"#))
  }

  @Test func histogramCountsBoundsInclusivelyAndDropsNaN() {
    let histogram = MetricsRegistry().histogram("x", help: "", buckets: [1, 2])
    for value in [0.5, 1, 1.0001, 2, 3, .infinity, .nan, -1] { histogram.observe(value) }
    #expect(histogram.value.counts == [3, 2, 2])
    #expect(histogram.value.count == 7)
  }

  @Test func counterNeverFalls() {
    let counter = MetricsRegistry().counter("x", help: "")
    counter.increment(by: 2)
    counter.increment(by: -5)
    counter.increment(by: .nan)
    counter.increment(by: .infinity)
    #expect(counter.value == 2)
  }

  @Test(arguments: [
    (Double.infinity, "+Inf"), (-Double.infinity, "-Inf"), (Double.nan, "NaN"), (0, "0"), (1e20, "1e+20"),
    (0.25, "0.25"),
  ])
  func formatsNumbers(value: Double, text: String) {
    let registry = MetricsRegistry()
    registry.gauge("x", help: "").set(value)
    #expect(registry.exposition().contains("baton_x \(text)\n"))
  }

  @Test func seriesAreLimitedAndTheRestIsCounted() {
    let registry = MetricsRegistry(maximumSeries: 2)
    for tenant in 0..<10 { registry.counter("x", help: "", labels: [("tenant", "\(tenant)")]).increment() }
    let text = registry.exposition()
    #expect(text.contains("baton_x_total{tenant=\"other\"} 8\n"))
    #expect(text.contains("baton_metrics_overflow_total{metric=\"baton_x_total\"} 8\n"))
    #expect(!text.contains("tenant=\"5\""))
  }

  @Test func collectsFromSnapshots() {
    let registry = MetricsRegistry()
    let pending = registry.gauge("unrelated", help: "")
    registry.onCollect { collector in
      collector.counter("preemptions", help: "Preemptions.", 4)
      collector.gauge("scheduler_pending", help: "Pending.", pending.value)
      collector.histogram("h", help: "", bounds: [1], HistogramValue(counts: [1, 2], sum: 7))
    }
    registry.onCollect { $0.counter("preemptions", help: "Preemptions.", 3) }
    pending.set(2)
    let text = registry.exposition()
    #expect(text.contains("baton_preemptions_total 7\n"))
    #expect(text.contains("baton_scheduler_pending 2\n"))
    #expect(
      text.contains("baton_h_bucket{le=\"1\"} 1\nbaton_h_bucket{le=\"+Inf\"} 3\nbaton_h_sum 7\nbaton_h_count 3\n"))
  }

  @Test func concurrentUpdatesAreAllCounted() async {
    let registry = MetricsRegistry()
    await withTaskGroup(of: Void.self) { group in
      for _ in 0..<8 {
        group.addTask {
          for value in 0..<1000 {
            registry.counter("c", help: "").increment()
            registry.histogram("h", help: "", buckets: [500]).observe(Double(value))
            registry.gauge("g", help: "").add(1)
          }
        }
      }
    }
    let text = registry.exposition()
    #expect(text.contains("baton_c_total 8000\n"))
    #expect(text.contains("baton_g 8000\n"))
    #expect(text.contains("baton_h_count 8000\n"))
  }
}
