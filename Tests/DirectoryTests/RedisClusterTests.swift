import Directory
import Foundation
import ServingTypes
import Testing

/// The directory on a real Redis Cluster, whose nodes move, die and are replaced meanwhile.
@Suite(.enabled(if: RedisServer.isInstalled, "redis-server is not installed"))
struct RedisClusterTests {
  typealias Log = RedisDirectoryTests.Log

  static var configuration: RedisConfiguration {
    RedisConfiguration(
      commandTimeout: .milliseconds(500), lookupTimeout: .seconds(30), minimumBackoff: .milliseconds(10),
      maximumBackoff: .milliseconds(50), topologyInterval: .milliseconds(50), quietTime: .zero)
  }

  func directory(_ cluster: RedisClusterServers, _ log: Log = Log()) throws -> RedisDirectory {
    try RedisDirectory(
      address: RedisAddress("redis-cluster://\(cluster.addresses)"), configuration: Self.configuration,
      onChange: { log.append($0) })
  }

  /// Chains that lie in different slots, of all nodes.
  static let chains = (0..<40).map { chain(6, seed: TokenID($0)) }

  func areAllFound(_ directory: RedisDirectory, _ chains: [[CachedBlock]] = chains) async -> Bool {
    for blocks in chains {
      guard (try? await directory.depths(blocks, [("a", 1, 0)])) == ["a": blocks.count] else { return false }
    }
    return true
  }

  func slot(_ cluster: RedisClusterServers, of block: CachedBlock) throws -> Int {
    let key = "baton:block:{\(block.chain)}:\(digest):\(block.hash)"
    return try #require(Int(try cluster.nodes[0].ask("CLUSTER", "KEYSLOT", key)))
  }

  @Test func allCallsFindTheirNodes() async throws {
    let cluster = try await RedisClusterServers(masters: 3)
    let log = Log()
    let directory = try directory(cluster, log)
    for name in ["a", "b"] { _ = try await directory.renewLease(record(name), lifetime: .seconds(600)) }
    #expect(try await directory.workers().map(\.id.value) == ["a", "b"])
    try await directory.announce(Self.chains.flatMap(\.self), as: announcing("a"), lifetime: .seconds(600))
    #expect(await areAllFound(directory))
    try await directory.withdraw(Self.chains.flatMap { $0[4...].reversed() }, as: announcing("a"))
    for blocks in Self.chains { #expect(try await directory.depths(blocks, [("a", 1, 0)]) == ["a": 4]) }
    try await directory.withdrawLease(record("a").reference)
    #expect(try await directory.workers().map(\.id.value) == ["b"])
    for node in cluster.nodes { #expect(try node.ask("DBSIZE") != "0", "each node holds something") }
    let statistics = directory.statistics
    #expect(statistics.servers == 3 && statistics.isConnected && statistics.possibleLosses == 0)
    #expect(statistics.failures == [:] && statistics.redirections == 0, "\(statistics)")
    await eventually("one entry") { log.kinds == ["connected"] }
  }

  /// Neither the questions for the slots nor a pause between two tries outlasts a lookup's time.
  @Test func aLookupAmongSilentNodesEndsAtItsTimeout() async throws {
    let cluster = try await RedisClusterServers(masters: 3)
    var configuration = Self.configuration
    configuration.commandTimeout = .seconds(600)
    configuration.lookupTimeout = .milliseconds(20)
    for knowsSlots in [false, true] {
      let directory = try RedisDirectory(
        address: RedisAddress("redis-cluster://\(cluster.addresses)"), configuration: configuration)
      if knowsSlots {
        await eventually("no answer") { (try? await directory.depths(Self.chains[0], [("a", 1, 0)])) != nil }
      }
      for node in cluster.nodes { node.freeze() }
      let error = await #expect(throws: ServingError.self) {
        _ = try await directory.depths(Self.chains[0], [("a", 1, 0)])
      }
      #expect(error?.code == .deadlineExceeded, "\(String(describing: error))")
      for node in cluster.nodes { node.thaw() }
    }
  }

  @Test func oneKnownNodeIsEnough() async throws {
    let cluster = try await RedisClusterServers(masters: 3)
    let last = try #require(cluster.nodes.last?.port)
    let directory = try RedisDirectory(
      address: RedisAddress("redis-cluster://127.0.0.1:1,127.0.0.1:\(last)"), configuration: Self.configuration)
    await eventually("not found") {
      let blocks = Self.chains.flatMap(\.self)
      return (try? await directory.announce(blocks, as: announcing("a"), lifetime: .seconds(600))) != nil
    }
    #expect(await areAllFound(directory))
    #expect(directory.statistics.servers == 3)
  }

  @Test func slotsMoveWhileTheyAreUsed() async throws {
    let cluster = try await RedisClusterServers(masters: 2)
    let directory = try directory(cluster)
    let blocks = Self.chains[0]
    try await directory.announce(Array(blocks.prefix(3)), as: announcing("a"), lifetime: .seconds(600))
    let slot = try slot(cluster, of: blocks[0])
    let (from, to) = slot < 8192 ? (0, 1) : (1, 0)
    try cluster.beginMove(slot: slot, from: from, to: to)
    // The old keys are still where they were, new ones go to the new node.
    try await directory.announce(blocks, as: announcing("a"), lifetime: .seconds(600))
    let during = try await directory.depths(blocks, [("a", 1, 0)])
    #expect(during["a", default: 0] <= 6, "a lookup in between may miss, and not fail")
    #expect(directory.statistics.redirections > 0)
    try cluster.endMove(slot: slot, from: from, to: to)
    #expect(try await directory.depths(blocks, [("a", 1, 0)]) == ["a": 6])
    let before = directory.statistics.redirections
    for _ in 0..<20 { #expect(try await directory.depths(blocks, [("a", 1, 0)]) == ["a": 6]) }
    #expect(directory.statistics.redirections <= before + 1, "the new place is remembered")
    #expect(directory.statistics.failures == [:])
  }

  @Test func tooManyRedirectionsAreToldAsSuch() async throws {
    let cluster = try await RedisClusterServers(masters: 2)
    var configuration = Self.configuration
    configuration.maximumRedirections = 0
    let directory = try RedisDirectory(
      address: RedisAddress("redis-cluster://\(cluster.addresses)"), configuration: configuration)
    let blocks = Self.chains[0]
    let slot = try slot(cluster, of: blocks[0])
    let (from, to) = slot < 8192 ? (0, 1) : (1, 0)
    try await directory.announce(Array(blocks.prefix(1)), as: announcing("a"), lifetime: .seconds(600))
    try cluster.beginMove(slot: slot, from: from, to: to)
    let error = await #expect(throws: ServingError.self) {
      try await directory.announce(blocks, as: announcing("a"), lifetime: .seconds(600))
    }
    #expect(error?.message == "a command was redirected more than 0 times")
    #expect(directory.statistics.failures == [.moved: 1])
    #expect(directory.statistics.redirections == 0, "none was followed")
  }

  /// What nobody served is sent on as soon as the slots are asked for again, and does not fail first.
  @Test func aSlotThatIsServedAgainIsFoundAtOnce() async throws {
    let cluster = try await RedisClusterServers(masters: 2, arguments: ["--cluster-require-full-coverage", "no"])
    let directory = try directory(cluster)
    let blocks = Self.chains[0]
    let slot = try slot(cluster, of: blocks[0])
    func areAssigned(_ count: Int) throws -> Bool {
      try cluster.nodes.allSatisfy { try $0.ask("CLUSTER", "INFO").contains("cluster_slots_assigned:\(count)") }
    }
    let owner = slot < 8192 ? 0 : 1
    await eventually("the slot is still served") {
      for node in [owner, 1 - owner] { _ = try? cluster.nodes[node].ask("CLUSTER", "DELSLOTS", "\(slot)") }
      return (try? areAssigned(16_383)) ?? false
    }
    await eventually("the old map stays") {
      do throws(ServingError) {
        _ = try await directory.longestPrefixes(query(blocks, [("a", 1, 0)]))
        return false
      } catch {
        return error.message == "no node of the cluster serves slot \(slot)"
      }
    }
    try cluster.nodes[owner].ask("CLUSTER", "ADDSLOTS", "\(slot)")
    await eventually("the slot is not served") { (try? areAssigned(16_384)) ?? false }
    // The slots may be asked for again then.
    try await Task.sleep(for: Self.configuration.topologyInterval)
    #expect(try await directory.depths(blocks, [("a", 1, 0)]) == [:])
  }

  @Test func theRosterMovesToo() async throws {
    let cluster = try await RedisClusterServers(masters: 2)
    let directory = try directory(cluster)
    for name in ["a", "b"] { _ = try await directory.renewLease(record(name), lifetime: .seconds(600)) }
    let slot = try #require(Int(try cluster.nodes[0].ask("CLUSTER", "KEYSLOT", "{workers}")))
    let (from, to) = slot < 8192 ? (0, 1) : (1, 0)
    try cluster.beginMove(slot: slot, from: from, to: to)
    // Some of the keys may be on either side now: each call succeeds or is refused, and none hangs.
    _ = try? await directory.workers()
    #expect(try await directory.renewLease(record("a"), lifetime: .seconds(600)), "a renewal never ends a lease")
    try cluster.endMove(slot: slot, from: from, to: to)
    #expect(try await directory.workers().map(\.id.value) == ["a", "b"])
  }

  @Test func aReplicaTakesOver() async throws {
    let cluster = try await RedisClusterServers(masters: 3)
    try cluster.add()
    try await cluster.settle()
    try cluster.nodes[3].ask("CLUSTER", "REPLICATE", try cluster.id(1))
    await eventually("no replica") {
      (try? cluster.nodes[3].ask("INFO", "replication").contains("master_link_status:up")) ?? false
    }
    let log = Log()
    let directory = try directory(cluster, log)
    let changes = Lock(CacheChanges(added: Self.chains.flatMap(\.self)))
    let announcer = DirectoryAnnouncer(
      directory: directory,
      configuration: AnnouncerConfiguration(
        leaseLifetime: .seconds(60), heartbeat: .milliseconds(50), pollInterval: .milliseconds(10),
        minimumBackoff: .milliseconds(20), maximumBackoff: .milliseconds(200)),
      record: { record("a") },
      changes: {
        changes.withLock { changes in
          defer { changes = CacheChanges() }
          return changes
        }
      })
    func isComplete() async -> Bool {
      guard let worker = (try? await directory.workers())?.first else { return false }
      for blocks in Self.chains {
        guard (try? await directory.depths(blocks, [("a", 1, worker.epoch)])) == ["a": 6] else { return false }
      }
      return true
    }
    await withTaskGroup(of: Void.self) { group in
      group.addTask { await announcer.run() }
      await eventually("not announced") { await isComplete() }
      cluster.nodes[1].kill()
      await eventually("the loss was not noticed") {
        _ = await areAllFound(directory)
        return !directory.statistics.isConnected
      }
      await eventually("the loss was not told") { log.kinds.contains("disconnected") }
      // The others' blocks are found all the while.
      var isFoundElsewhere = false
      for blocks in Self.chains where (try? await directory.depths(blocks, [("a", 1, 0)])) != nil {
        isFoundElsewhere = true
      }
      #expect(isFoundElsewhere)
      let told = log.kinds.last
      if !directory.statistics.isConnected { #expect(told != "connected", "a master is away") }
      await eventually("nobody took over") { await isComplete() && directory.statistics.isConnected }
      await eventually("the loss may have cost entries") { directory.statistics.possibleLosses > 0 }
      await eventually("not announced again") { await isComplete() }
      group.cancelAll()
    }
    #expect(log.kinds.first == "connected" && log.kinds.contains("disconnected"))
    #expect(directory.statistics.servers == 3)
  }

  @Test func aNodeThatIsGoneCostsItsShareAlone() async throws {
    let cluster = try await RedisClusterServers(masters: 2, arguments: ["--cluster-require-full-coverage", "no"])
    let directory = try directory(cluster)
    try await directory.announce(Self.chains.flatMap(\.self), as: announcing("a"), lifetime: .seconds(600))
    cluster.nodes[1].kill()
    await eventually("half is served") {
      var found = 0
      for blocks in Self.chains {
        try? await directory.announce(blocks, as: announcing("a"), lifetime: .seconds(600))
        if (try? await directory.depths(blocks, [("a", 1, 0)])) == ["a": 6] { found += 1 }
      }
      return found > 5 && found < Self.chains.count
    }
    // In one announcement too.
    let other = (40..<60).map { chain(2, seed: TokenID($0)) }
    await #expect(throws: ServingError.self) {
      try await directory.announce(other.flatMap(\.self), as: announcing("a"), lifetime: .seconds(600))
    }
    var found = 0
    for blocks in other where (try? await directory.depths(blocks, [("a", 1, 0)])) == ["a": 2] { found += 1 }
    #expect(found > 0 && found < other.count)
    #expect(directory.statistics.topologyRefreshes < 100)
    try cluster.nodes[1].start()
    await eventually("the node did not come back") {
      (try? await directory.announce(Self.chains.flatMap(\.self), as: announcing("a"), lifetime: .seconds(600))) != nil
    }
    #expect(await areAllFound(directory))
    #expect(directory.statistics.possibleLosses > 0)
  }

  @Test func passwordsAreForAllNodes() async throws {
    let cluster = try await RedisClusterServers(masters: 1, arguments: [])
    try cluster.nodes[0].ask("CONFIG", "SET", "requirepass", "s3cret")
    let stranger = try directory(cluster)
    await #expect(throws: ServingError.self) { _ = try await stranger.workers() }
    #expect(stranger.statistics.failures[.authentication, default: 0] > 0)
    let directory = try RedisDirectory(
      address: RedisAddress("redis-cluster://:s3cret@\(cluster.addresses)"), configuration: Self.configuration)
    #expect(try await directory.workers() == [])
  }

  @Test func aClusterIsNoSingleServer() async throws {
    let cluster = try await RedisClusterServers(masters: 2)
    let directory = try RedisDirectory(
      address: RedisAddress("redis://127.0.0.1:\(cluster.nodes[0].port ?? 0)"), configuration: Self.configuration)
    var hints: [String] = []
    for blocks in Self.chains {
      do throws(ServingError) { _ = try await directory.longestPrefixes(query(blocks, [("a", 1, 0)])) } catch {
        hints.append(error.message)
      }
    }
    #expect(!hints.isEmpty && hints.allSatisfy { $0.contains("redis-cluster://") })
    #expect(directory.statistics.failures == [.moved: hints.count])
  }
}
