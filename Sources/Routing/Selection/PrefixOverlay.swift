import ServingTypes

/// What this router has just routed where: known at once, before any worker announces it, and all that is known while
/// the directory is away.
///
/// A route is kept as the whole chain that went to a worker. Hashes are chained, so two chains that agree in one place agree
/// before it: a few places of each chain are indexed, and the common prefix with a route is found by bisection behind them.
package struct PrefixOverlay {
  private struct Route {
    var hashes: [BlockHash]
    var worker: WorkerID
    var incarnation: Incarnation
    var routed: ContinuousClock.Instant
  }

  /// The places that are indexed, from the first block on.
  private static let anchors = [0, 15, 63, 255, 1023, 4095]
  /// Routes of one worker at one place, the latest ones, and of all workers.
  private static let routesOfWorker = 8
  private static let routesOfAnchor = 512

  private let capacity: Int
  private var routes: [Int: Route] = [:]
  /// In order of time.
  private var index: [BlockHash: [Int]] = [:]
  private var first = 0
  private var next = 0
  /// Blocks of all routes.
  package private(set) var count = 0

  package init(capacity: Int) { self.capacity = capacity }

  package mutating func insert(
    _ hashes: [BlockHash], worker: WorkerID, incarnation: Incarnation, now: ContinuousClock.Instant
  ) {
    let hashes = hashes.count > capacity ? Array(hashes.prefix(capacity)) : hashes
    if hashes.isEmpty { return }
    for anchor in Self.anchors where anchor < hashes.count {
      var known = index[hashes[anchor]] ?? []
      index[hashes[anchor]] = nil
      trim(&known, worker, incarnation, covering: hashes)
      known.append(next)
      index[hashes[anchor]] = known
    }
    routes[next] = Route(hashes: hashes, worker: worker, incarnation: incarnation, routed: now)
    next += 1
    count += hashes.count
    while count > capacity { forgetOldest() }
  }

  /// Leading blocks that were routed to each worker's incarnation not before `since`.
  package func longestPrefixes(
    _ hashes: [BlockHash], incarnations: [WorkerID: Incarnation], since: ContinuousClock.Instant
  ) -> [WorkerID: Int] {
    var depths: [WorkerID: Int] = [:]
    // Where the deepest routes are found first, most of the others are known to be shorter without a look.
    for anchor in Self.anchors.reversed() where anchor < hashes.count {
      for id in index[hashes[anchor]] ?? [] {
        guard let route = routes[id], route.routed >= since, incarnations[route.worker] == route.incarnation else {
          continue
        }
        let known = depths[route.worker, default: 0]
        if route.hashes.count <= known { continue }
        depths[route.worker] = max(known, Self.common(hashes, route.hashes, from: max(anchor, known - 1)))
      }
    }
    return depths
  }

  /// Leading blocks that are the same in both, which agree at `start` or, where another route was longer, may not.
  private static func common(_ left: [BlockHash], _ right: [BlockHash], from start: Int) -> Int {
    guard left[start] == right[start] else { return 0 }
    var low = start + 1
    var high = min(left.count, right.count)
    // Most chains part soon after a place that they share.
    var step = 1
    while low < high {
      let probe = min(low + step, high) - 1
      if left[probe] == right[probe] {
        low = probe + 1
        step *= 2
      } else {
        high = probe
        step = max(1, (high - low) / 2)
      }
    }
    return low
  }

  /// Drops from a place's routes those that are forgotten, those of the worker that a new one makes superfluous, and the
  /// oldest where there are too many.
  private mutating func trim(
    _ known: inout [Int], _ worker: WorkerID, _ incarnation: Incarnation, covering hashes: [BlockHash]
  ) {
    var own = 0
    for position in known.indices.reversed() {
      guard let route = routes[known[position]] else {
        known.remove(at: position)
        continue
      }
      guard route.incarnation == incarnation, route.worker == worker else { continue }
      own += 1
      let isCovered =
        route.hashes.count <= hashes.count && route.hashes[route.hashes.count - 1] == hashes[route.hashes.count - 1]
      if isCovered { forget(known[position]) }
      if isCovered || own >= Self.routesOfWorker { known.remove(at: position) }
    }
    if known.count >= Self.routesOfAnchor { known.removeFirst(known.count - Self.routesOfAnchor + 1) }
  }

  private mutating func forgetOldest() {
    guard first < next else { return }
    if let route = routes[first] {
      for anchor in Self.anchors where anchor < route.hashes.count {
        let hash = route.hashes[anchor]
        index[hash]?.removeAll { $0 == first }
        if index[hash]?.isEmpty == true { index[hash] = nil }
      }
      forget(first)
    }
    first += 1
  }

  private mutating func forget(_ id: Int) {
    if let route = routes.removeValue(forKey: id) { count -= route.hashes.count }
  }
}
