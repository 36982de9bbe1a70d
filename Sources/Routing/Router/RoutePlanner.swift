import Directory
import Observability
import ServingTypes

/// Finds where a request should go now.
struct RoutePlanner: Sendable {
  let directory: (any BlockDirectory)?
  let registry: WorkerRegistry
  let memory: RoutingMemory
  let selector: WorkerSelector
  let metrics: RouterMetrics
  let clock: ServingClock

  /// A request's hashes by block size, computed once.
  struct Chains: Sendable {
    let prompt: [TokenID]
    let salt: String
    private(set) var hashes: [Int: [BlockHash]]

    init(_ request: PreparedRequest) {
      prompt = request.prompt
      salt = request.cacheSalt
      hashes = request.hashes
    }

    mutating func chain(blockSize: Int) -> [BlockHash] {
      if let known = hashes[blockSize] { return known }
      let chain = BlockHash.chain(tokens: prompt, blockSize: blockSize, salt: salt)
      hashes[blockSize] = chain
      return chain
    }
  }

  /// - Returns: nil when no worker can take the request.
  func plan(_ query: SelectionQuery, chains: inout Chains) async -> RoutingDecision? {
    let start = clock.now
    var lookups = Duration.zero
    var query = query
    query.turn = memory.nextTurn()
    // Those that drain take no requests, but lend their blocks to those of their layout that do.
    let all = registry.workers.filter { $0.record.model == query.model }
    let served = Set(all.filter { !$0.record.isDraining }.map(\.record.layoutDigest))
    let workers = all.filter { served.contains($0.record.layoutDigest) }
    guard !workers.isEmpty else { return nil }
    let layouts = Dictionary(grouping: workers) { $0.record.layoutDigest }
    var prefixes: [WorkerID: CachedPrefix]? = [:]
    for (digest, holders) in layouts.sorted(by: { $0.key < $1.key }) {
      let hashes = chains.chain(blockSize: holders[0].record.blockSize)
      if let first = hashes.first { query.affinity ^= first.low }
      let asked = clock.now
      let found = await lookUp(digest, hashes, holders)
      lookups += asked.duration(to: clock.now)
      guard let found else {
        prefixes = nil
        continue
      }
      prefixes?.merge(found) { $1 }
    }
    for worker in workers { _ = chains.chain(blockSize: worker.record.blockSize) }
    let candidates = memory.candidates(workers, prefixes: prefixes, hashes: chains.hashes, now: clock.now)
    let decision = selector.select(candidates, for: query)
    metrics.chose(seconds: (start.duration(to: clock.now) - lookups).inSeconds)
    return decision
  }

  /// What the directory says; nil when it says nothing.
  private func lookUp(
    _ digest: String, _ hashes: [BlockHash], _ holders: [RegisteredWorker]
  ) async -> [WorkerID: CachedPrefix]? {
    guard let directory, selector.configuration.policy == .prefix else { return nil }
    guard !hashes.isEmpty else { return [:] }
    let query = PrefixQuery(
      layoutDigest: digest, hashes: hashes,
      holders: holders.map {
        PrefixQuery.Holder(
          worker: $0.record.id, incarnation: $0.record.reference.incarnation, epoch: $0.record.epoch)
      })
    let start = clock.now
    let found = try? await directory.longestPrefixes(query)
    metrics.lookedUp(seconds: start.duration(to: clock.now).inSeconds, failed: found == nil)
    return found
  }
}
