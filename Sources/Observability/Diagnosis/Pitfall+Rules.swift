// The rules. Each wants enough traffic to mean something, so that an idle or fresh worker has no findings.
extension Pitfall {
  typealias Evidence = Diagnosis.Evidence

  /// The numbers that lead to this pitfall, nil where they do not.
  func evidence(in window: MetricsWindow) -> [Evidence]? {
    switch self {
    case .lowReuse: Self.lowReuse(window)
    case .memoryFull: Self.memoryFull(window)
    case .memorySwings: Self.memorySwings(window)
    case .fragmentation: Self.fragmentation(window)
    case .copyOnWriteStorm: Self.copyOnWriteStorm(window)
    case .preemptions: Self.preemptions(window)
    case .queueGrows: Self.queueGrows(window)
    case .requestsRefused: Self.requestsRefused(window)
    case .batchCapped: Self.batchCapped(window)
    case .batchDoesNotFill: Self.batchDoesNotFill(window)
    case .jitter: Self.jitter(window)
    case .lowAcceptance: Self.lowAcceptance(window)
    case .draftModelShortages: Self.draftModelShortages(window)
    case .tierFailures: Self.tierFailures(window)
    case .directoryErrors: Self.directoryErrors(window)
    case .directoryStale: Self.directoryStale(window)
    case .directorySlow: Self.directorySlow(window)
    case .handoffFallbacks: Self.handoffFallbacks(window)
    case .handoffsFail: Self.handoffsFail(window)
    case .lostStreams: Self.lostStreams(window)
    }
  }

  // MARK: Cache and memory

  /// Prompts repeat when the router foresaw hits, when requests waited for one another's prefix, or when the cache
  /// was replaced while they came.
  private static func lowReuse(_ window: MetricsWindow) -> [Evidence]? {
    guard let prompt = window.increase(.promptTokens), prompt >= 1000,
      let cached = window.increase(.cachedPromptTokens), cached < 0.2 * prompt
    else { return nil }
    let reuse = cached / prompt
    var evidence = [Evidence("prompt_tokens", prompt), Evidence("reuse", reuse)]
    var repeats = false
    if let blocks = window.increase(.routerPromptBlocks), blocks >= 32,
      let predicted = window.increase(.routerPredictedBlocks), predicted / blocks >= reuse + 0.2
    {
      evidence.append(Evidence("predicted_reuse", predicted / blocks))
      repeats = true
    }
    if let waits = window.increase(.singleFlightWaits), let requests = window.increase(.acceptedRequests),
      waits >= 4, waits >= 0.25 * requests
    {
      evidence.append(Evidence("single_flight_waits", waits))
      repeats = true
    }
    if let evictions = window.increase(.evictions), let blocks = window.last(.kvBlocks), evictions >= blocks {
      evidence.append(Evidence("evictions", evictions))
      repeats = repeats || cached >= 0.02 * prompt
    }
    return repeats ? evidence : nil
  }

  private static func memoryFull(_ window: MetricsWindow) -> [Evidence]? {
    guard let usage = window.least(.memoryUsage), usage >= 0.95 else { return nil }
    return [Evidence("memory_usage", usage)]
  }

  private static func memorySwings(_ window: MetricsWindow) -> [Evidence]? {
    guard window.hasTwoReadings else { return nil }
    var evidence: [Evidence] = []
    if let first = window.first(.memoryUsage), let last = window.last(.memoryUsage), abs(last - first) >= 0.4 {
      evidence += [Evidence("memory_usage_before", first), Evidence("memory_usage", last)]
    }
    if let evictions = window.increase(.evictions), let blocks = window.last(.kvBlocks), blocks > 0, evictions >= blocks
    {
      evidence += [Evidence("evictions", evictions), Evidence("kv_blocks", blocks)]
    }
    return evidence.isEmpty ? nil : evidence
  }

  private static func fragmentation(_ window: MetricsWindow) -> [Evidence]? {
    guard let share = window.least(.fragmentation), share >= 0.25, let running = window.least(.running), running >= 2
    else { return nil }
    return [Evidence("kv_fragmentation", share), Evidence("scheduler_running", running)]
  }

  private static func copyOnWriteStorm(_ window: MetricsWindow) -> [Evidence]? {
    guard let copies = window.increase(.copyOnWriteCopies), copies >= 32,
      let tokens = window.increase(.generatedTokens), copies >= 0.1 * tokens
    else { return nil }
    return [Evidence("copy_on_write_copies", copies), Evidence("generated_tokens", tokens)]
  }

  private static func preemptions(_ window: MetricsWindow) -> [Evidence]? {
    guard let preemptions = window.increase(.preemptions), preemptions >= 2 else { return nil }
    let requests = window.increase(.acceptedRequests) ?? 0
    guard preemptions >= 0.05 * requests else { return nil }
    return [Evidence("preemptions", preemptions), Evidence("requests", requests)]
  }

  // MARK: Queue and batch

  private static func queueGrows(_ window: MetricsWindow) -> [Evidence]? {
    guard let pending = window.last(.pending) else { return nil }
    if let first = window.first(.pending) {
      guard pending >= 8, pending >= first + 4 else { return nil }
      return [Evidence("scheduler_pending_before", first), Evidence("scheduler_pending", pending)]
    }
    guard pending >= 1, let waits = window.distribution(.queueWait), waits.count >= 20 else { return nil }
    let median = waits.quantile(0.5).value
    return median < 5 ? nil : [Evidence("queue_wait_p50_seconds", median), Evidence("scheduler_pending", pending)]
  }

  private static func requestsRefused(_ window: MetricsWindow) -> [Evidence]? {
    let counts = [DiagnosisMetric.routerRefusals, .refusedRequests].compactMap { metric in
      window.increase(metric).map { Evidence(metric.rawValue, $0) }
    }.filter { $0.value > 0 }
    return counts.isEmpty ? nil : counts
  }

  /// Sequences that wait at both readings while the pool has room, with how full the batch is.
  private static func waiting(_ window: MetricsWindow) -> (share: Double, evidence: [Evidence])? {
    guard let pending = window.least(.pending), pending >= 1, let usage = window.last(.memoryUsage), usage < 0.8,
      let running = window.last(.running), let limit = window.last(.maxNumSeqs), limit > 0
    else { return nil }
    return (
      running / limit,
      [
        Evidence("scheduler_pending", pending), Evidence("scheduler_running", running), Evidence("max_num_seqs", limit),
        Evidence("memory_usage", usage),
      ]
    )
  }

  private static func batchCapped(_ window: MetricsWindow) -> [Evidence]? {
    guard let (share, evidence) = waiting(window), share >= 1 else { return nil }
    return evidence
  }

  private static func batchDoesNotFill(_ window: MetricsWindow) -> [Evidence]? {
    guard window.hasTwoReadings, let (share, evidence) = waiting(window), share <= 0.5 else { return nil }
    return evidence
  }

  /// The bounds of the buckets must lie apart too, as quantiles are no finer than those.
  private static func jitter(_ window: MetricsWindow) -> [Evidence]? {
    guard let gaps = window.distribution(.interTokenLatency), gaps.count >= 100 else { return nil }
    let median = gaps.quantile(0.5)
    let late = gaps.quantile(0.99)
    guard late.value >= 4 * median.value, late.lower >= 2 * median.upper else { return nil }
    var evidence = [
      Evidence("inter_token_p50_seconds", median.value), Evidence("inter_token_p99_seconds", late.value),
    ]
    if let step = window.distribution(.stepSeconds) {
      evidence.append(Evidence("step_p99_seconds", step.quantile(0.99).value))
    }
    return evidence
  }

  private static func lowAcceptance(_ window: MetricsWindow) -> [Evidence]? {
    guard let drafted = window.increase(.draftedTokens), drafted >= 200,
      let accepted = window.increase(.acceptedTokens), accepted < 0.3 * drafted,
      let generated = window.increase(.generatedTokens), drafted >= 0.2 * generated
    else { return nil }
    return [
      Evidence("drafted_tokens", drafted), Evidence("acceptance", accepted / drafted),
      Evidence("generated_tokens", generated),
    ]
  }

  private static func draftModelShortages(_ window: MetricsWindow) -> [Evidence]? {
    guard let shortages = window.increase(.draftModelShortages), shortages >= 10,
      let generated = window.increase(.generatedTokens), shortages >= 0.05 * generated
    else { return nil }
    return [Evidence("draft_model_shortages", shortages), Evidence("generated_tokens", generated)]
  }

  /// By reason, as each wants something else.
  private static func tierFailures(_ window: MetricsWindow) -> [Evidence]? {
    guard let failures = window.increase(.tierFailures), failures >= 4 else { return nil }
    let reasons = ["full", "unavailable", "truncated", "corrupt", "slow"].compactMap { reason in
      window.increase(.tierFailures, where: ["reason": reason]).map { Evidence("kv_tier_failures_\(reason)", $0) }
    }
    return [Evidence("kv_tier_failures", failures)] + reasons.filter { $0.value > 0 }
  }

  // MARK: Between processes

  private static func directoryErrors(_ window: MetricsWindow) -> [Evidence]? {
    var evidence: [Evidence] = []
    if let connected = window.last(.directoryConnected), connected < 1 {
      evidence.append(Evidence("directory_connected", connected))
    }
    for metric in [DiagnosisMetric.directoryErrors, .directoryLookupErrors] {
      // Since the start, a lost connection that came back is no news.
      if window.hasTwoReadings, let errors = window.increase(metric), errors > 0 {
        evidence.append(Evidence(metric.rawValue, errors))
      }
    }
    return evidence.isEmpty ? nil : evidence
  }

  private static func directoryStale(_ window: MetricsWindow) -> [Evidence]? {
    guard let seconds = window.last(.directoryStaleness), seconds >= 30 else { return nil }
    return [Evidence("directory_staleness_seconds", seconds)]
  }

  private static func directorySlow(_ window: MetricsWindow) -> [Evidence]? {
    guard let lookups = window.distribution(.directoryLookupSeconds), lookups.count >= 20 else { return nil }
    let late = lookups.quantile(0.9)
    return late.lower < 0.025 ? nil : [Evidence("directory_lookup_p90_seconds", late.value)]
  }

  private static func handoffFallbacks(_ window: MetricsWindow) -> [Evidence]? {
    guard let fallbacks = window.increase(.handoffFallbacks), fallbacks >= 1 else { return nil }
    let received =
      window.increase(.transfers, where: ["direction": "received", "outcome": "completed"]) ?? 0
    guard fallbacks >= 0.05 * (received + fallbacks) else { return nil }
    return [Evidence("handoff_fallbacks", fallbacks), Evidence("handoffs_received", received)]
  }

  private static func handoffsFail(_ window: MetricsWindow) -> [Evidence]? {
    guard let failed = window.increase(.transfers, where: ["outcome": "failed"]), failed >= 3 else { return nil }
    let completed = window.increase(.transfers, where: ["outcome": "completed"]) ?? 0
    guard failed >= 0.05 * (failed + completed) else { return nil }
    return [Evidence("handoffs_failed", failed), Evidence("handoffs_completed", completed)]
  }

  private static func lostStreams(_ window: MetricsWindow) -> [Evidence]? {
    guard let lost = window.increase(.routerLostStreams), lost > 0 else { return nil }
    return [Evidence("router_lost_streams", lost)]
  }
}
