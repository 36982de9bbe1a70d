import Directory
import ServingTypes

/// What the router remembers of its own doing: where it sent which prefix, and what is under way where.
final class RoutingMemory: Sendable {
  private struct State {
    var overlay: PrefixOverlay
    var ledger = InFlightLedger()
    var recent: RecentWork
    var turn: UInt64 = 0
  }

  /// The load that one attempt counts for.
  struct Tickets: Sendable {
    var decode: InFlightLedger.Ticket
    var prefill: InFlightLedger.Ticket?
  }

  private let configuration: RoutingConfiguration
  private let state: Lock<State>

  init(configuration: RoutingConfiguration) {
    self.configuration = configuration
    state = Lock(
      State(
        overlay: PrefixOverlay(capacity: configuration.overlayCapacity),
        recent: RecentWork(lifetime: configuration.recentLifetime)))
  }

  func nextTurn() -> UInt64 {
    state.withLock { state in
      state.turn += 1
      return state.turn
    }
  }

  /// The workers as the selector sees them.
  /// - Parameters:
  ///   - prefixes: what the directory said; nil where it said nothing.
  ///   - hashes: the prompt's chain, by block size.
  func candidates(
    _ workers: [RegisteredWorker], prefixes: [WorkerID: CachedPrefix]?, hashes: [Int: [BlockHash]],
    now: ContinuousClock.Instant
  ) -> [WorkerCandidate] {
    let since = now - (prefixes == nil ? configuration.overlayLifetimeAlone : configuration.overlayLifetime)
    var incarnations: [WorkerID: Incarnation] = [:]
    for worker in workers { incarnations[worker.record.id] = worker.record.reference.incarnation }
    return state.withLock { state in
      let routed = hashes.mapValues { chain in
        state.overlay.longestPrefixes(chain, incarnations: incarnations, since: since)
      }
      let recent = workers.map { state.recent.blocks(of: $0.record.id, now: now) }
      var least: [WorkerRole: Double] = [:]
      for (worker, blocks) in zip(workers, recent) {
        least[worker.record.role] = min(blocks, least[worker.record.role] ?? blocks)
      }
      return zip(workers, recent).map { worker, blocks in
        let id = worker.record.id
        var cached = prefixes?[id] ?? CachedPrefix()
        let overlay = routed[worker.record.blockSize]?[id] ?? 0
        let isForeseen = overlay > cached.blocks
        // A prefix on its way somewhere cannot be had from there yet.
        let lendable = prefixes == nil ? max(overlay, cached.device) : cached.device
        if isForeseen { cached.device += overlay - cached.blocks }
        // A report tells of the past: what began since the look before it may be missing from it.
        let work = state.ledger.work(on: id, after: worker.reported.map { $0 - configuration.refreshInterval })
        return WorkerCandidate(
          record: worker.record, cached: cached, isForeseen: isForeseen, lendableBlocks: lendable,
          unreported: work.new, own: work.all, recentBlocks: blocks - (least[worker.record.role] ?? 0),
          isDoubtful: worker.isDoubtful(at: now))
      }
    }
  }

  /// A request goes where the decision says.
  func begin(
    _ decision: RoutingDecision, tokens: Int, hashes: [BlockHash], now: ContinuousClock.Instant
  ) -> Tickets {
    let blocks = (Double(tokens) / Double(decision.decode.blockSize)).rounded(.up)
    return state.withLock { state in
      let decode = decision.decode.reference
      state.overlay.insert(hashes, worker: decode.id, incarnation: decode.incarnation, now: now)
      // What is asked only in case of need is not counted as asked: it would be a reason to name it the next time.
      guard !decision.isPrecaution, let prefill = decision.prefill.first?.reference else {
        let work = InFlightWork(prefillBlocks: decision.missingBlocks, activeBlocks: blocks)
        state.recent.add(decision.missingBlocks, to: decode.id, now: now)
        return Tickets(decode: state.ledger.begin(work, on: decode.id, now: now))
      }
      state.recent.add(decision.missingBlocks, to: prefill.id, now: now)
      state.overlay.insert(hashes, worker: prefill.id, incarnation: prefill.incarnation, now: now)
      return Tickets(
        decode: state.ledger.begin(InFlightWork(activeBlocks: blocks), on: decode.id, now: now),
        prefill: state.ledger.begin(InFlightWork(prefillBlocks: decision.missingBlocks), on: prefill.id, now: now))
    }
  }

  /// The first token came: the prompt is computed.
  func finishPrefill(_ tickets: Tickets) {
    state.withLock { state in
      state.ledger.finishPrefill(tickets.decode)
      if let prefill = tickets.prefill { state.ledger.end(prefill) }
    }
  }

  func end(_ tickets: Tickets) {
    state.withLock { state in
      state.ledger.end(tickets.decode)
      if let prefill = tickets.prefill { state.ledger.end(prefill) }
    }
  }

  /// Attempts under way, for tests.
  var attempts: Int { state.withLock { $0.ledger.count } }
}
