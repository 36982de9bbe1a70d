import Engine
import Observability
import PrefillServer

/// What an engine and its hand-offs count, reported at each collection.
enum WorkerMetrics {
  static func register(in registry: MetricsRegistry, engine: EngineCore, transfers: TransferStatistics) {
    let blockBytes = engine.layout.blockBytes()
    registry.onCollect { collector in
      limits(engine, collector)
      blocks(engine.statistics, blockBytes: blockBytes, collector)
      scheduling(engine.statistics, collector)
      tokens(engine.statistics, collector)
      tiers(engine.statistics.tiers, blockBytes: blockBytes, collector)
      fetches(engine.statistics, blockBytes: blockBytes, collector)
      self.transfers(transfers.snapshot, collector)
    }
  }

  private static func blocks(_ engine: EngineStatistics, blockBytes: Int, _ collector: MetricsCollector) {
    collector.gauge("kv_blocks", help: "Blocks in the pool.", engine.blockCount)
    collector.gauge("kv_block_bytes", help: "Bytes of one block.", blockBytes)
    collector.gauge(
      "kv_active_blocks", help: "Blocks referenced by sequences or pinned by transfers.", engine.activeBlocks)
    collector.gauge("kv_cached_blocks", help: "Prefix-cache blocks that nobody uses now.", engine.cachedBlocks)
    collector.gauge("kv_free_blocks", help: "Blocks that hold nothing.", engine.freeBlocks)
    collector.gauge("kv_pinned_blocks", help: "Blocks pinned by transfers.", engine.pinnedBlocks)
    collector.gauge(
      "kv_fragmentation", help: "Room in running sequences' blocks that holds nothing yet, as a share of all.",
      ratio(engine.emptySlots, engine.tableSlots))
    let usage = ratio(engine.activeBlocks, engine.blockCount)
    collector.gauge("memory_usage", help: "Active blocks as a share of the pool.", usage)
    collector.gauge("gpu_mem_usage", help: "The same as memory_usage.", usage)
    collector.counter("evictions", help: "Blocks that left the prefix cache for want of room.", Int(engine.evictions))
    collector.counter(
      "copy_on_write_copies", help: "Blocks copied because a sequence wrote to a shared one.",
      Int(engine.copyOnWriteCopies))
    collector.gauge(
      "block_reuse_rate", help: "Prompt tokens found in the prefix cache, as a share of all.",
      ratio(Int(engine.cachedPromptTokens), Int(engine.promptTokens)))
  }

  private static func scheduling(_ engine: EngineStatistics, _ collector: MetricsCollector) {
    collector.gauge("scheduler_running", help: "Sequences in flight.", engine.runningSequences)
    collector.gauge("scheduler_pending", help: "Sequences that wait.", engine.waitingSequences)
    collector.gauge(
      "scheduler_receiving", help: "Hand-offs that were admitted and wait for their blocks.", engine.receivingRequests)
    collector.gauge(
      "pending_prefill_tokens", help: "Admitted tokens still to be computed before decoding.",
      engine.pendingPrefillTokens)
    collector.counter("preemptions", help: "Sequences that lost their blocks to others.", Int(engine.preemptions))
    collector.counter(
      "single_flight_waits", help: "Requests that waited for a prefix under way.", Int(engine.singleFlightWaits))
    for (outcome, count) in [
      ("finished", engine.requestsFinished), ("cancelled", engine.requestsCancelled), ("failed", engine.requestsFailed),
    ] {
      collector.counter(
        "engine_requests", help: "Requests that ended, by outcome.", Int(count), labels: [("outcome", outcome)])
    }
    collector.counter("engine_requests_accepted", help: "Requests that were queued.", Int(engine.requestsAccepted))
    collector.histogram(
      "step_seconds", help: "Duration of the engine's steps.", bounds: EngineStatistics.histogramBounds,
      HistogramValue(counts: engine.stepSeconds.counts, sum: engine.stepSeconds.sum))
    collector.histogram(
      "queue_wait_seconds", help: "From a request's arrival to its admission.",
      bounds: EngineStatistics.histogramBounds,
      HistogramValue(counts: engine.queueSeconds.counts, sum: engine.queueSeconds.sum))
  }

  private static func tokens(_ engine: EngineStatistics, _ collector: MetricsCollector) {
    collector.counter("prompt_tokens", help: "Prompt tokens of admitted requests.", Int(engine.promptTokens))
    collector.counter(
      "cached_prompt_tokens", help: "Prompt tokens found in the prefix cache.", Int(engine.cachedPromptTokens))
    collector.counter(
      "computed_prompt_tokens", help: "Prompt tokens that were computed.", Int(engine.computedPromptTokens))
    collector.counter("generated_tokens", help: "New tokens.", Int(engine.generatedTokens))
    collector.counter("batched_tokens", help: "Tokens of all steps.", Int(engine.batchedTokens))
    collector.counter("steps", help: "Steps of the engine.", Int(engine.steps))
    speculation(engine, collector)
  }

  private static func speculation(_ engine: EngineStatistics, _ collector: MetricsCollector) {
    let speculation = engine.speculation
    let labels = [("method", speculation.method.rawValue)]
    collector.counter("drafted_tokens", help: "Draft tokens proposed.", Int(engine.draftedTokens), labels: labels)
    collector.counter("accepted_tokens", help: "Draft tokens accepted.", Int(engine.acceptedTokens), labels: labels)
    collector.gauge(
      "draft_acceptance_rate", help: "Draft tokens accepted, as a share of those proposed.",
      ratio(Int(engine.acceptedTokens), Int(engine.draftedTokens)), labels: labels)
    collector.gauge(
      "draft_acceptance_recent", help: "The chance that a draft is accepted, lately.", speculation.recentAcceptance,
      labels: labels)
    collector.gauge(
      "draft_length", help: "Drafts wanted for each decoding sequence in the last step.", speculation.draftLength,
      labels: labels)
    guard speculation.method == .draft else { return }
    let model = speculation.draftModel
    collector.gauge("draft_model_blocks", help: "Blocks of the draft model's pool.", model.blockCount)
    collector.gauge(
      "draft_model_active_blocks", help: "Blocks of the draft model's pool that sequences hold.", model.activeBlocks)
    collector.gauge(
      "draft_model_vocabulary", help: "Tokens that the draft model chose among in its last pass.", model.vocabulary)
    collector.counter("draft_model_passes", help: "Forward passes of the draft model.", Int(model.forwards))
    collector.counter("draft_model_seconds", help: "Time of those passes, with the drawing of drafts.", model.seconds)
    collector.counter(
      "draft_model_shortages", help: "Drafts that were not made for want of blocks.", Int(model.shortages))
    collector.counter("draft_model_failures", help: "Passes of the draft model that failed.", Int(model.failures))
  }

  private static func tiers(_ tiers: TierStatistics, blockBytes: Int, _ collector: MetricsCollector) {
    for (tier, blocks, capacity, hits) in [
      ("host", tiers.hostBlocks, tiers.hostCapacity, tiers.hostHits),
      ("file", tiers.fileBlocks, tiers.fileCapacity, tiers.fileHits),
    ] {
      let labels = [("tier", tier)]
      collector.gauge("kv_tier_blocks", help: "Blocks held below the pool.", blocks, labels: labels)
      collector.gauge("kv_tier_bytes", help: "Bytes of those blocks.", blocks * blockBytes, labels: labels)
      collector.gauge("kv_tier_capacity_blocks", help: "Blocks that a tier holds at most.", capacity, labels: labels)
      collector.counter(
        "kv_tier_hits", help: "Blocks of admitted prefixes, by where they lay.", Int(hits), labels: labels)
    }
    collector.counter(
      "kv_tier_hits", help: "Blocks of admitted prefixes, by where they lay.", Int(tiers.deviceHits),
      labels: [("tier", "device")])
    for (tier, stores) in [("host", tiers.hostStores), ("file", tiers.fileStores)] {
      collector.counter("kv_tier_stores", help: "Blocks copied down.", Int(stores), labels: [("tier", tier)])
    }
    collector.counter(
      "kv_tier_eviction_stores", help: "Blocks copied down only when they were evicted.", Int(tiers.evictionStores))
    collector.counter("kv_tier_drops", help: "Blocks that left the last tier that had them.", Int(tiers.drops))
    collector.counter("prefetches", help: "Blocks that began to come up.", Int(tiers.prefetchesStarted))
    for (outcome, count) in [("used", tiers.prefetchesUsed), ("wasted", tiers.prefetchesWasted)] {
      collector.counter(
        "prefetches_ended", help: "Blocks that came up, by outcome.", Int(count), labels: [("outcome", outcome)])
    }
    collector.gauge(
      "prefetch_hit_rate", help: "Blocks that came up and were used, as a share of those that began to.",
      ratio(Int(tiers.prefetchesUsed), Int(tiers.prefetchesStarted)))
    collector.gauge("scheduler_loading", help: "Sequences that wait for blocks to come up.", tiers.loadingSequences)
    collector.counter(
      "kv_tier_bypasses", help: "Prefixes computed on because that was estimated to be faster.",
      Int(tiers.bypassedPrefixes))
    for failure in TierFailure.allCases {
      collector.counter(
        "kv_tier_failures", help: "Blocks that a tier did not keep or give, by reason.", Int(tiers.failures(failure)),
        labels: [("reason", failure.rawValue)])
    }
  }

  private static func transfers(_ transfers: TransferStatistics.Snapshot, _ collector: MetricsCollector) {
    for (direction, blocks, bytes, seconds, completed, failed) in [
      (
        "sent", transfers.sentBlocks, transfers.sentBytes, transfers.sendSeconds, transfers.completedSends,
        transfers.failedSends
      ),
      (
        "received", transfers.receivedBlocks, transfers.receivedBytes, transfers.receiveSeconds,
        transfers.completedReceives, transfers.failedReceives
      ),
    ] {
      let labels = [("direction", direction)]
      collector.counter("transfer_blocks", help: "Blocks that went through hand-offs.", blocks, labels: labels)
      collector.counter("transfer_bytes", help: "Payload of those blocks.", bytes, labels: labels)
      collector.counter("transfer_seconds", help: "Duration of hand-offs, summed up.", seconds, labels: labels)
      for (outcome, count) in [("completed", completed), ("failed", failed)] {
        collector.counter(
          "transfers", help: "Hand-offs that ended, by outcome.", count, labels: labels + [("outcome", outcome)])
      }
    }
    collector.counter(
      "handoff_fallbacks", help: "Prompts computed here because no prefill worker could help.", transfers.fallbacks)
  }

  private static func ratio(_ part: Int, _ whole: Int) -> Double { whole == 0 ? 0 : Double(part) / Double(whole) }
}
