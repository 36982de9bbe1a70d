import ServingTypes

/// The masters of a Redis Cluster, a connection each, and the map that says which of them a command belongs to.
///
/// The map is asked for when something shows that it is old, at most once in `topologyInterval`, by whichever call noticed;
/// others meanwhile follow redirections, a bounded number of times. Any thread may call.
final class RedisCluster: Sendable {
  fileprivate struct Node {
    var connection: RedisConnection
    /// Not among those of the first map: it may have nothing of what was told before.
    var isLate: Bool
  }

  private struct State {
    var map: RedisSlotMap?
    var nodes: [RedisAddress.Endpoint: Node] = [:]
    var lastRefresh: ContinuousClock.Instant?
    var isRefreshing = false
    /// The place in the list of candidates at which the next refresh begins.
    var turn = 0
    var counts = RedisServerCounts()
    var isClosed = false
  }

  /// A command on its way.
  private struct Route: Hashable {
    var endpoint: RedisAddress.Endpoint
    var isAsking: Bool
  }

  private let seeds: [RedisAddress.Endpoint]
  private let login: RedisLogin
  private let configuration: RedisConfiguration
  private let timeouts: RedisTimeouts
  private let onLoss: @Sendable (RedisFailure) -> Void
  private let state = Lock(State())

  init(
    seeds: [RedisAddress.Endpoint], login: RedisLogin, configuration: RedisConfiguration, timeouts: RedisTimeouts,
    onLoss: @escaping @Sendable (RedisFailure) -> Void
  ) {
    self.seeds = seeds
    self.login = login
    self.configuration = configuration
    self.timeouts = timeouts
    self.onLoss = onLoss
  }

  deinit { close() }

  func close() {
    let nodes = state.withLock { state in
      state.isClosed = true
      defer { state.nodes = [:] }
      return Array(state.nodes.values)
    }
    for node in nodes { node.connection.close() }
  }

  var counts: RedisServerCounts {
    state.withLock { state in
      var counts = state.counts
      counts.servers = state.map?.masters.count ?? 0
      counts.isConnected =
        state.map.map { map in
          !map.masters.isEmpty && map.masters.allSatisfy { state.nodes[$0]?.connection.isConnected ?? false }
        } ?? false
      for node in state.nodes.values { counts.add(node) }
      return counts
    }
  }

  /// Sends each command to the node of its slot and returns a reply for each. Commands of one slot keep their order unless
  /// they are redirected.
  func execute(_ pipeline: RedisPipeline, patience: RedisPatience) async throws(RedisFailure) -> [RedisReply] {
    if state.withLock({ $0.map == nil }) { await refresh(patience: patience) }
    var replies = [RedisReply](repeating: .null, count: pipeline.count)
    var failure: RedisFailure?
    var open: [Route: [Int]] = [:]
    var orphans: [Int] = []
    for index in 0..<pipeline.count {
      if let owner = try? owner(of: pipeline.slots[index]) {
        open[Route(endpoint: owner, isAsking: false), default: []].append(index)
      } else {
        orphans.append(index)
      }
    }
    if !orphans.isEmpty { await refresh(patience: patience) }
    for index in orphans {
      do throws(RedisFailure) {
        open[Route(endpoint: try owner(of: pipeline.slots[index]), isAsking: false), default: []].append(index)
      } catch {
        failure = failure ?? error
      }
    }
    for attempt in 0...configuration.maximumRedirections where !open.isEmpty {
      let isLast = attempt == configuration.maximumRedirections
      let round = await send(open, of: pipeline, patience: patience)
      open = [:]
      var mustRefresh = false
      var mustPause = false
      var redirections = 0
      var lost: [(route: Route, indices: [Int], failure: RedisFailure)] = []
      for (route, indices, outcome) in round {
        switch outcome {
        case .failure(let error):
          if error.kind == nil || patience.isOver { throw error }
          if error.kind != .queueFull { mustRefresh = true }
          lost.append((route, indices, error))
        case .success(let received):
          for (place, index) in indices.enumerated() {
            let reply = received[route.isAsking ? 2 * place + 1 : place]
            replies[index] = reply
            guard let redirection = RedisRedirection(reply, asked: route.endpoint) else {
              if case .error(let message) = reply, message.hasPrefix("CLUSTERDOWN") || message.hasPrefix("MOVED") {
                mustRefresh = true
              }
              continue
            }
            redirections += 1
            if isLast, redirection != .tryAgain {
              failure = failure ?? RedisFailure(redirections: configuration.maximumRedirections)
            }
            switch redirection {
            case .moved(let slot, let endpoint):
              mustRefresh = true
              state.withLock { $0.map?.move(slot, to: endpoint) }
              open[Route(endpoint: endpoint, isAsking: false), default: []].append(index)
            case .ask(let endpoint): open[Route(endpoint: endpoint, isAsking: true), default: []].append(index)
            case .tryAgain:
              mustPause = true
              open[route, default: []].append(index)
            }
          }
        }
      }
      if mustRefresh { await refresh(patience: patience) }
      for (route, indices, error) in lost {
        // Another node may have taken over by now.
        for index in indices {
          let owner = try? owner(of: pipeline.slots[index])
          if let owner, owner != route.endpoint, !isLast {
            open[Route(endpoint: owner, isAsking: false), default: []].append(index)
          } else {
            failure = failure ?? error
          }
        }
      }
      if open.isEmpty || isLast { break }
      if redirections > 0 { state.withLock { [redirections] in $0.counts.redirections += redirections } }
      if mustPause || attempt > 1 { try await patience.pause(for: .milliseconds(10 << attempt)) }
    }
    if let failure { throw failure }
    return replies
  }

  private typealias Sent = (route: Route, indices: [Int], outcome: Result<[RedisReply], RedisFailure>)

  /// To all nodes at once.
  private func send(_ routes: [Route: [Int]], of pipeline: RedisPipeline, patience: RedisPatience) async -> [Sent] {
    @Sendable func one(_ route: Route, _ indices: [Int]) async -> Sent {
      do throws(RedisFailure) {
        let connection = try connection(to: route.endpoint)
        let isWhole = indices.count == pipeline.count && !route.isAsking
        let part = isWhole ? pipeline : pipeline.selecting(indices, asking: route.isAsking)
        return (route, indices, .success(try await connection.execute(part, patience: patience)))
      } catch {
        return (route, indices, .failure(error))
      }
    }
    if routes.count == 1, let (route, indices) = routes.first { return [await one(route, indices)] }
    return await withTaskGroup(of: Sent.self) { group in
      for (route, indices) in routes { group.addTask { await one(route, indices) } }
      var sent: [Sent] = []
      for await outcome in group { sent.append(outcome) }
      return sent
    }
  }

  /// Without a map any seed will do: it says where the slot lies.
  private func owner(of slot: UInt16) throws(RedisFailure) -> RedisAddress.Endpoint {
    let (map, isClosed) = state.withLock { ($0.map, $0.isClosed) }
    if isClosed { throw RedisFailure(.connection, "the connection to Redis is closed") }
    if let owner = map?.owner(of: slot) { return owner }
    if map != nil { throw RedisFailure(.clusterDown, "no node of the cluster serves slot \(slot)") }
    guard !seeds.isEmpty else { throw RedisFailure(.connection, "no node of the cluster is known") }
    return seeds[Int(slot) % seeds.count]
  }

  private func connection(to endpoint: RedisAddress.Endpoint) throws(RedisFailure) -> RedisConnection {
    let known = state.withLock { state in (state.nodes[endpoint]?.connection, state.nodes.count, state.isClosed) }
    if let connection = known.0 { return connection }
    guard !known.2 else { throw RedisFailure(.connection, "the connection to Redis is closed") }
    guard known.1 < configuration.maximumNodes else {
      throw RedisFailure(.moved, "more than \(configuration.maximumNodes) nodes of the cluster were named")
    }
    let made: RedisConnection
    do throws(ServingError) {
      made = try RedisConnection(
        target: .node(endpoint), login: login, configuration: configuration, timeouts: timeouts, onLoss: onLoss)
    } catch {
      throw RedisFailure(.connection, error.message)
    }
    let (kept, isWanted) = state.withLock { state -> (RedisConnection, Bool) in
      if state.isClosed { return (made, false) }
      if let other = state.nodes[endpoint]?.connection { return (other, false) }
      let isFirst = state.counts.topologyRefreshes == 1 && state.map?.masters.contains(endpoint) ?? false
      state.nodes[endpoint] = Node(connection: made, isLate: state.map != nil && !isFirst)
      return (made, true)
    }
    if !isWanted { made.close() }
    return kept
  }

  /// Asks for the slots unless that was done lately or is being done.
  private func refresh(patience: RedisPatience) async {
    let now = ContinuousClock.now
    let candidates = state.withLock { state -> [RedisAddress.Endpoint] in
      if state.isClosed || state.isRefreshing { return [] }
      if let last = state.lastRefresh, now - last < configuration.topologyInterval { return [] }
      state.isRefreshing = true
      state.lastRefresh = now
      // Those that answer go first, and not always the same one: it might be cut off from the others.
      let known = (state.map?.members ?? []) + seeds
      let start = known.isEmpty ? 0 : state.turn % known.count
      state.turn += 1
      let rotated = known[start...] + known[..<start]
      let up = rotated.filter { state.nodes[$0]?.connection.isConnected ?? false }
      return up + rotated.filter { !up.contains($0) }
    }
    guard !candidates.isEmpty else { return }
    defer { state.withLock { $0.isRefreshing = false } }
    for candidate in candidates.prefix(Self.maximumQuestions) {
      guard let map = await slots(from: candidate, patience: patience) else { continue }
      adopt(map)
      return
    }
  }

  /// Nodes that one refresh asks at most.
  private static let maximumQuestions = 4

  private func slots(from endpoint: RedisAddress.Endpoint, patience: RedisPatience) async -> RedisSlotMap? {
    do throws(RedisFailure) {
      let replies = try await connection(to: endpoint).execute(
        RedisPipeline("CLUSTER", "SLOTS"), patience: patience)
      guard let reply = replies.first else { return nil }
      if case .error = reply { return nil }
      let map = try RedisSlotMap(reply, asked: endpoint, maximumNodes: configuration.maximumNodes)
      // A node that was cut off and restarted may know nobody.
      return map.masters.isEmpty ? nil : map
    } catch {
      return nil
    }
  }

  /// Takes the map, connects to its masters and lets go of everybody else.
  private func adopt(_ map: RedisSlotMap) {
    let gone = state.withLock { state -> [Node] in
      state.map = map
      state.counts.topologyRefreshes += 1
      let gone = state.nodes.filter { !map.masters.contains($0.key) }
      for (endpoint, node) in gone {
        state.nodes[endpoint] = nil
        state.counts.retire(node)
      }
      return Array(gone.values)
    }
    for node in gone { node.connection.close() }
    for master in map.masters { _ = try? connection(to: master) }
  }
}

extension RedisServerCounts {
  /// What a node that is still there counts for.
  fileprivate mutating func add(_ node: RedisCluster.Node) {
    pendingCommands += node.connection.pendingCommands
    retire(node)
  }

  /// What remains of a node that is gone.
  fileprivate mutating func retire(_ node: RedisCluster.Node) {
    let openings = node.connection.openings
    reconnects += max(0, openings - 1)
    possibleLosses += node.connection.possibleLosses + (node.isLate && openings > 0 ? 1 : 0)
  }
}
