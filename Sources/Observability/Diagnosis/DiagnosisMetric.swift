/// The metrics that the rules look at, by the names under which the processes register them.
public enum DiagnosisMetric: String, CaseIterable, Sendable {
  // Workers: gauges.
  case kvBlocks = "kv_blocks"
  case memoryUsage = "memory_usage"
  case fragmentation = "kv_fragmentation"
  case running = "scheduler_running"
  case maxNumSeqs = "scheduler_max_num_seqs"
  case pending = "scheduler_pending"
  // Workers: counters and histograms.
  case evictions
  case copyOnWriteCopies = "copy_on_write_copies"
  case promptTokens = "prompt_tokens"
  case cachedPromptTokens = "cached_prompt_tokens"
  case generatedTokens = "generated_tokens"
  case draftedTokens = "drafted_tokens"
  case acceptedTokens = "accepted_tokens"
  case draftModelShortages = "draft_model_shortages"
  case tierFailures = "kv_tier_failures"
  case preemptions
  case singleFlightWaits = "single_flight_waits"
  case acceptedRequests = "engine_requests_accepted"
  case transfers
  case handoffFallbacks = "handoff_fallbacks"
  case interTokenLatency = "inter_token_latency_seconds"
  case stepSeconds = "step_seconds"
  case queueWait = "queue_wait_seconds"
  // Routers.
  case routerPromptBlocks = "router_prompt_blocks"
  case routerPredictedBlocks = "router_predicted_cached_blocks"
  case routerRefusals = "router_refusals"
  case routerLostStreams = "router_lost_streams"
  case refusedRequests = "http_requests_refused"
  case directoryConnected = "directory_connected"
  case directoryErrors = "directory_errors"
  case directoryLookupErrors = "directory_lookup_errors"
  case directoryLookupSeconds = "directory_lookup_seconds"
  case directoryStaleness = "directory_staleness_seconds"

  /// As the exposition shows it.
  public var name: String {
    switch self {
    case .evictions, .copyOnWriteCopies, .promptTokens, .cachedPromptTokens, .generatedTokens, .draftedTokens,
      .acceptedTokens,
      .draftModelShortages, .tierFailures, .preemptions, .singleFlightWaits, .acceptedRequests, .transfers,
      .handoffFallbacks,
      .routerPromptBlocks, .routerPredictedBlocks, .routerRefusals, .routerLostStreams, .refusedRequests,
      .directoryErrors, .directoryLookupErrors:
      MetricsRegistry.fullName(rawValue, kind: .counter)
    case .interTokenLatency, .stepSeconds, .queueWait, .directoryLookupSeconds:
      MetricsRegistry.fullName(rawValue, kind: .histogram)
    case .kvBlocks, .memoryUsage, .fragmentation, .running, .maxNumSeqs, .pending, .directoryConnected,
      .directoryStaleness:
      MetricsRegistry.fullName(rawValue, kind: .gauge)
    }
  }
}
