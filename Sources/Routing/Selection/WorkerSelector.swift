import Directory
import ServingTypes

/// Chooses a decode worker and, unless little is left to compute, prefill workers. Pure: no I/O, no clock, no state.
///
/// cost = prompts still to be computed there + this prompt − its cached blocks (host and file tiers counting less, and less
/// still what it could fetch) + weighted blocks in use, waiting sequences and what it was lately given to compute, all in
/// blocks; the lowest wins.
/// - SeeAlso: NVIDIA Dynamo's KV router, for the form of the cost.
public struct WorkerSelector: Sendable {
  public var configuration: RoutingConfiguration

  public init(configuration: RoutingConfiguration = RoutingConfiguration()) { self.configuration = configuration }

  /// - Returns: nil when no worker can serve the request.
  public func select(_ candidates: [WorkerCandidate], for query: SelectionQuery) -> RoutingDecision? {
    var able = candidates.filter { isAble($0, query) }
    // Whoever takes no requests, or not this one, may lend blocks all the same.
    var lenders = candidates.filter { $0.record.model == query.model }
    if query.computesWholePrompt {
      for index in able.indices { able[index].cached = CachedPrefix() }
      lenders = []
    }
    noteExchange(among: &able, from: lenders)
    guard let decode = choose(able.filter(\.record.role.servesDecode), query) else { return nil }
    let need = prefillNeed(able, decode: decode, query)
    let prefill = need == .none ? [] : prefillWorkers(able, decode: decode, query)
    let first = prefill.first
    let chosen = Set([decode.record.id] + prefill.map(\.record.id))
    let costs = able.sorted { $0.record.id < $1.record.id }.map { candidate in
      var cost = CandidateCost(
        worker: candidate.record.id, role: candidate.record.role, cost: cost(candidate, query),
        predictedCachedBlocks: candidate.cached.blocks,
        predictedFetchableBlocks: candidate.fetchableBlocks, load: candidate.load(configuration),
        chosen: chosen.contains(candidate.record.id))
      cost.prefill = cost.cost - cost.load
      cost.cached = candidate.cached.weightedBlocks
      cost.pending = candidate.pendingBlocks
      cost.active = candidate.activeLoad(configuration)
      cost.waiting = candidate.waitingLoad(configuration)
      cost.recent = candidate.recentLoad(configuration)
      cost.isDoubtful = candidate.isDoubtful
      return cost
    }
    let cached = max(decode.cached.weightedBlocks, first.map(savedBlocks) ?? 0)
    return RoutingDecision(
      decode: decode.record, prefill: prefill.map(\.record), isPrecaution: need == .precaution,
      holders: holders(among: lenders, for: prefill.isEmpty ? [decode] : prefill, besides: decode),
      predicted: decode.cached, missingBlocks: max(0, blocks(query, decode) - cached), costs: costs)
  }

  private func isAble(_ candidate: WorkerCandidate, _ query: SelectionQuery) -> Bool {
    let record = candidate.record
    return record.model == query.model && !record.isDraining && query.tokens < record.maximumModelLength
      && (query.requiredLayout ?? record.layoutDigest) == record.layoutDigest
      && !query.excluded.contains(record.reference)
  }

  private func choose(_ candidates: [WorkerCandidate], _ query: SelectionQuery) -> WorkerCandidate? {
    ordered(preferred(candidates), query).first
  }

  /// The policy's own order, the first choice first.
  private func ordered(_ candidates: [WorkerCandidate], _ query: SelectionQuery) -> [WorkerCandidate] {
    switch configuration.policy {
    case .prefix, .leastLoaded: return ranked(candidates, query)
    case .roundRobin, .random:
      guard !candidates.isEmpty else { return [] }
      let ring = candidates.sorted { $0.record.id < $1.record.id }
      let draw = configuration.policy == .random ? Self.mix(query.turn &+ query.affinity) : query.turn
      let start = Int(draw % UInt64(ring.count))
      return Array(ring[start...] + ring[..<start])
    }
  }

  /// Each worker is gated on its own: those in doubt or overloaded come into play only when all are.
  private func preferred(_ candidates: [WorkerCandidate]) -> [WorkerCandidate] {
    let certain = candidates.filter { !$0.isDoubtful }
    let standing = certain.isEmpty ? candidates : certain
    let relaxed = standing.filter { !$0.isOverloaded(configuration) }
    return relaxed.isEmpty ? standing : relaxed
  }

  private func ranked(_ candidates: [WorkerCandidate], _ query: SelectionQuery) -> [WorkerCandidate] {
    candidates
      .map { (candidate: $0, cost: cost($0, query), tie: tie($0, query)) }
      .sorted { ($0.cost, $0.tie, $0.candidate.record.id) < ($1.cost, $1.tie, $1.candidate.record.id) }
      .map(\.candidate)
  }

  private enum PrefillNeed {
    case none
    /// A prefix that others' prefill still brings may come after this request: then the decode worker, which knows better,
    /// shall have somebody to ask.
    case precaution
    case certain
  }

  private func prefillNeed(
    _ able: [WorkerCandidate], decode: WorkerCandidate, _ query: SelectionQuery
  ) -> PrefillNeed {
    if query.computesWholePrompt { return .none }
    let blockSize = decode.record.blockSize
    let uncached = max(0, query.tokens - decode.cached.blocks * blockSize)
    let isLittle =
      uncached <= configuration.localPrefillTokens
      && Double(uncached) <= configuration.localPrefillShare * Double(query.tokens)
    // Less than a block can't be handed over as one: it would only travel.
    guard isLittle || uncached < blockSize else { return .certain }
    let isUnderWay =
      decode.isForeseen && query.tokens >= blockSize
      && able.contains { candidate in
        candidate.record.role == .prefill && candidate.record.layoutDigest == decode.record.layoutDigest
          && candidate.own.prefillBlocks > 0
      }
    return isUnderWay ? .precaution : .none
  }

  private func prefillWorkers(
    _ able: [WorkerCandidate], decode: WorkerCandidate, _ query: SelectionQuery
  ) -> [WorkerCandidate] {
    var others = able.filter { candidate in
      candidate.record.role == .prefill && candidate.record.layoutDigest == decode.record.layoutDigest
    }
    if others.isEmpty, decode.record.role == .decode {
      others = able.filter { candidate in
        candidate.record.role == .both && candidate.record.layoutDigest == decode.record.layoutDigest
      }
    }
    let ranked = ordered(preferred(others), query)
    if decode.record.role == .both, let best = ranked.first {
      // Such a worker can do both; it hands the prompt away only when that is done sooner elsewhere.
      let here = decode.pendingBlocks + blocks(query, decode) - savedBlocks(decode)
      let there = best.pendingBlocks + blocks(query, best) - savedBlocks(best)
      if there >= here { return [] }
    }
    return Array(ranked.prefix(configuration.maximumPrefillCandidates))
  }

  /// Blocks whose computing the worker's own cache, or other workers', saves.
  private func savedBlocks(_ candidate: WorkerCandidate) -> Double {
    candidate.cached.weightedBlocks + Double(candidate.fetchableBlocks) * (1 - configuration.fetchBlockCost)
  }

  private func blocks(_ query: SelectionQuery, _ candidate: WorkerCandidate) -> Double {
    Double(query.tokens) / Double(candidate.record.blockSize)
  }

  private func cost(_ candidate: WorkerCandidate, _ query: SelectionQuery) -> Double {
    let load = candidate.load(configuration)
    guard configuration.policy == .prefix else { return load }
    return load + max(0, blocks(query, candidate) - savedBlocks(candidate))
  }

  /// Rendezvous hashing: for each prompt another order of the workers, and always the same one.
  private func tie(_ candidate: WorkerCandidate, _ query: SelectionQuery) -> UInt64 {
    var hash: UInt64 = 0xcbf2_9ce4_8422_2325
    for byte in candidate.record.id.value.utf8 { hash = (hash ^ UInt64(byte)) &* 0x0000_0100_0000_01b3 }
    return Self.mix(hash ^ query.affinity)
  }

  /// The finaliser of SplitMix64.
  private static func mix(_ value: UInt64) -> UInt64 {
    var z = value &+ 0x9e37_79b9_7f4a_7c15
    z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
    z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
    return z ^ (z >> 31)
  }
}
