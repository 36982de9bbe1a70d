import Engine
import Observability

// What the queues and the batch are held to, so that their metrics can be compared with it.
extension WorkerMetrics {
  static func limits(_ engine: EngineCore, _ collector: MetricsCollector) {
    let configuration = engine.configuration
    collector.gauge("kv_block_tokens", help: "Tokens of one block.", engine.layout.blockSize)
    collector.gauge("max_context_tokens", help: "Longest sequence.", engine.maximumContextLength)
    collector.gauge("scheduler_max_num_seqs", help: "Sequences in flight at most.", configuration.maxNumSeqs)
    collector.gauge(
      "scheduler_max_queued_requests", help: "Requests that may wait.", configuration.maxQueuedRequests)
    collector.gauge(
      "scheduler_max_num_batched_tokens", help: "Tokens of one step at most.", configuration.maxNumBatchedTokens)
    collector.gauge(
      "prefix_caching_enabled", help: "1 where blocks of earlier prompts are kept and reused.",
      configuration.enablePrefixCaching ? 1 : 0)
  }
}
