/// What is known to go wrong in serving, each with the parameters that turn it.
public enum Pitfall: String, CaseIterable, Sendable {
  case lowReuse = "low_reuse"
  case memoryFull = "memory_full"
  case memorySwings = "memory_swings"
  case fragmentation
  case copyOnWriteStorm = "copy_on_write_storm"
  case preemptions
  case queueGrows = "queue_grows"
  case requestsRefused = "requests_refused"
  case batchCapped = "batch_capped"
  case batchDoesNotFill = "batch_does_not_fill"
  case jitter
  case lowAcceptance = "low_acceptance"
  case draftModelShortages = "draft_model_shortages"
  case tierFailures = "tier_failures"
  case directoryErrors = "directory_errors"
  case directoryStale = "directory_stale"
  case directorySlow = "directory_slow"
  case handoffFallbacks = "handoff_fallbacks"
  case handoffsFail = "handoffs_fail"
  case lostStreams = "lost_streams"

  /// One line on what is wrong.
  public var summary: String {
    switch self {
    case .lowReuse: "prompts repeat, but little of them is found in the cache"
    case .memoryFull: "sequences hold nearly every block of the pool"
    case .memorySwings: "the pool fills and empties between two readings, or its whole cache is replaced"
    case .fragmentation: "much of the running sequences' blocks holds nothing"
    case .copyOnWriteStorm: "shared blocks are copied nearly as fast as tokens are generated"
    case .preemptions: "sequences lose their blocks to others and are computed again"
    case .queueGrows: "requests arrive faster than they are served"
    case .requestsRefused: "requests are refused for overload"
    case .batchCapped: "sequences wait for a place in the batch while the pool has room"
    case .batchDoesNotFill: "sequences wait while the batch is half empty and the pool has room"
    case .jitter: "some gaps between tokens are far longer than most"
    case .lowAcceptance: "most draft tokens are rejected"
    case .draftModelShortages: "the draft model has no blocks for sequences that it should draft for"
    case .tierFailures: "blocks below the pool are lost, damaged or not taken, and computed again"
    case .directoryErrors: "the directory does not answer, so caches of other workers are missed"
    case .directoryStale: "the directory has not answered for long"
    case .directorySlow: "looking up prefixes delays each request"
    case .handoffFallbacks: "decode workers compute prompts because no prefill worker could help"
    case .handoffsFail: "hand-offs break off"
    case .lostStreams: "streams from decode workers die"
    }
  }

  /// What to change, the most promising first.
  public var advice: String {
    switch self {
    case .lowReuse:
      "raise num_blocks or memory_budget so that prefixes stay, keep enable_prefix_caching on and routing_policy at prefix"
    case .memoryFull:
      "raise num_blocks, memory_budget or memory_utilization, use a smaller kv_cache_dtype, or lower max_num_seqs"
    case .memorySwings: "lower max_num_seqs or max_prefill_tokens so that less is admitted at once, or raise num_blocks"
    case .fragmentation: "lower block_size, on all workers that share blocks"
    case .copyOnWriteStorm: "lower block_size, so that a copy is smaller, or ask for fewer samples (n) at once"
    case .preemptions: "lower max_num_seqs, or raise num_blocks or memory_budget"
    case .queueGrows:
      "add workers; raise max_num_seqs where the batch is full; lower max_queue_wait or max_queued_requests to refuse early"
    case .requestsRefused: "add workers, or raise max_queued_requests and max_queue_wait if clients may wait longer"
    case .batchCapped: "raise max_num_seqs"
    case .batchDoesNotFill:
      "raise max_num_batched_tokens or max_prefill_tokens, or target_step_time; batch_merge_window gathers requests that arrive together"
    case .jitter: "lower target_step_time or prefill_chunk_size, or prefill on workers of their own"
    case .lowAcceptance:
      "lower num_speculative_tokens, change spec_method, or turn enable_spec_decode off for such text"
    case .draftModelShortages: "raise num_blocks or memory_budget, which the draft model shares, or lower max_num_seqs"
    case .tierFailures:
      "look at the disk that offload_dir names: full needs room there or a smaller offload_space, slow a faster disk or a larger swap_space"
    case .directoryErrors, .directoryStale: "check the server that redis names, and the network to it"
    case .directorySlow: "put the server that redis names nearer, or give it a processor of its own"
    case .handoffFallbacks:
      "add prefill workers, or raise their max_queued_requests; check that decode workers reach their advertise address"
    case .handoffsFail:
      "check the network between the tiers, and that drain_timeout lets hand-offs end before a worker stops"
    case .lostStreams:
      "look for workers that are killed, often for memory: lower memory_utilization; raise drain_timeout for planned stops"
    }
  }

  /// The parameters that the advice names.
  public var parameters: [String] {
    switch self {
    case .lowReuse: ["num_blocks", "memory_budget", "enable_prefix_caching", "routing_policy"]
    case .memoryFull: ["num_blocks", "memory_budget", "memory_utilization", "kv_cache_dtype", "max_num_seqs"]
    case .memorySwings: ["max_num_seqs", "max_prefill_tokens", "num_blocks"]
    case .fragmentation, .copyOnWriteStorm: ["block_size"]
    case .preemptions: ["max_num_seqs", "num_blocks", "memory_budget"]
    case .queueGrows: ["max_num_seqs", "max_queue_wait", "max_queued_requests"]
    case .requestsRefused: ["max_queued_requests", "max_queue_wait"]
    case .batchCapped: ["max_num_seqs"]
    case .batchDoesNotFill: ["max_num_batched_tokens", "max_prefill_tokens", "target_step_time", "batch_merge_window"]
    case .jitter: ["target_step_time", "prefill_chunk_size"]
    case .lowAcceptance: ["num_speculative_tokens", "spec_method", "enable_spec_decode"]
    case .draftModelShortages: ["num_blocks", "memory_budget", "max_num_seqs"]
    case .tierFailures: ["offload_dir", "offload_space", "swap_space"]
    case .directoryErrors, .directoryStale, .directorySlow: ["redis"]
    case .handoffFallbacks: ["max_queued_requests", "advertise"]
    case .handoffsFail: ["drain_timeout"]
    case .lostStreams: ["memory_utilization", "drain_timeout"]
    }
  }
}
