import Directory
import Foundation
import ServingTypes
import Testing

/// A master behind sentinels, which is replaced meanwhile.
@Suite(.enabled(if: RedisServer.isInstalled, "redis-server is not installed"))
struct RedisSentinelTests {
  typealias Log = RedisDirectoryTests.Log

  /// A master, its replica and a sentinel that watches both.
  struct Group {
    let servers: [RedisServer]
    let sentinel: RedisServer

    init(arguments: [String] = [], sentinelArguments: [String] = []) async throws {
      let ports = try RedisServer.freePorts(3)
      let first = try RedisServer(["--repl-diskless-sync-delay", "0"] + arguments, port: ports[0])
      let second = try RedisServer(
        ["--repl-diskless-sync-delay", "0", "--replicaof", "127.0.0.1", "\(ports[0])"] + arguments, port: ports[1])
      servers = [first, second]
      // A sentinel writes what it learns into its configuration.
      let file = first.folder.appendingPathComponent("sentinel.conf")
      let lines =
        ["sentinel monitor mine 127.0.0.1 \(ports[0]) 1", "sentinel down-after-milliseconds mine 300"]
        + ["sentinel failover-timeout mine 2000"] + sentinelArguments
      try Data(lines.joined(separator: "\n").utf8).write(to: file)
      sentinel = try RedisServer(["--sentinel"], port: ports[2], configurationFile: file.path)
      let watched = sentinel
      await eventually("the sentinel does not know the replica") {
        let replicas = (try? watched.ask("SENTINEL", "REPLICAS", "mine")) ?? ""
        return replicas.contains("\(ports[1])")
      }
    }

    var address: String { "127.0.0.1:\(sentinel.port ?? 0)" }
  }

  static var configuration: RedisConfiguration {
    RedisConfiguration(
      commandTimeout: .milliseconds(500), lookupTimeout: .seconds(30), sentinelTimeout: .seconds(10),
      sentinelInterval: .milliseconds(100), minimumBackoff: .milliseconds(10), maximumBackoff: .milliseconds(100),
      quietTime: .zero)
  }

  func directory(_ address: String, _ log: Log = Log()) throws -> RedisDirectory {
    try RedisDirectory(
      address: RedisAddress(address), configuration: Self.configuration, onChange: { log.append($0) })
  }

  @Test func aNewMasterIsFollowed() async throws {
    let group = try await Group()
    let log = Log()
    // One of the sentinels is not there.
    let directory = try directory("redis-sentinel://127.0.0.1:1,\(group.address)/mine", log)
    let blocks = chain(9)
    let changes = Lock(CacheChanges(added: blocks))
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
      return (try? await directory.depths(blocks, [("a", 1, worker.epoch)])) == ["a": 9]
    }
    await withTaskGroup(of: Void.self) { tasks in
      tasks.addTask { await announcer.run() }
      await eventually("not announced") { await isComplete() }
      group.servers[0].kill()
      await eventually("the new master was not found") {
        let isHeld = (try? group.servers[1].ask("DBSIZE")) == "\(9 + 2)"
        let isMaster = (try? group.servers[1].ask("ROLE").hasPrefix("master")) ?? false
        let isFound = await isComplete()
        return isHeld && isMaster && isFound && directory.statistics.possibleLosses > 0
      }
      tasks.cancelAll()
    }
    #expect(log.kinds.starts(with: ["connected", "disconnected"]))
  }

  @Test func aMasterThatStepsDownIsLeft() async throws {
    let group = try await Group()
    let directory = try directory("redis-sentinel://\(group.address)/mine")
    #expect(try await !directory.renewLease(record("a"), lifetime: .seconds(600)))
    await eventually("no failover began") { (try? group.sentinel.ask("SENTINEL", "FAILOVER", "mine")) == "OK" }
    await eventually("the new master was not found") {
      guard (try? await directory.renewLease(record("b"), lifetime: .seconds(600))) != nil else { return false }
      let isMaster = (try? group.servers[1].ask("ROLE").hasPrefix("master")) ?? false
      let isHeld = (try? group.servers[1].ask("EXISTS", "baton:{workers}:lease:b")) == "1"
      return isMaster && isHeld && directory.statistics.possibleLosses == 1
    }
  }

  @Test func aSentinelThatIsWrongIsNotAskedForEver() async throws {
    let group = try await Group()
    let ports = try RedisServer.freePorts(2)
    let file = group.servers[0].folder.appendingPathComponent("wrong.conf")
    // It watches a server that is gone, and nobody agrees with it.
    try Data("sentinel monitor mine 127.0.0.1 \(ports[1]) 2".utf8).write(to: file)
    let wrong = try RedisServer(["--sentinel"], port: ports[0], configurationFile: file.path)
    let directory = try directory("redis-sentinel://127.0.0.1:\(ports[0]),\(group.address)/mine")
    await eventually("the other sentinel was not asked") {
      (try? await directory.renewLease(record("a"), lifetime: .seconds(600))) != nil
    }
    withExtendedLifetime(wrong) {}
  }

  @Test func anUnknownNameIsToldOnce() async throws {
    let group = try await Group()
    let log = Log()
    let directory = try directory("redis-sentinel://\(group.address)/other", log)
    for _ in 0..<30 {
      await #expect(throws: ServingError.self) { _ = try await directory.workers() }
      try await Task.sleep(for: .milliseconds(5))
    }
    #expect(log.kinds == ["disconnected"])
    #expect(directory.statistics.failures[.connection, default: 0] == 30)
  }

  @Test func bothAskForPasswords() async throws {
    let group = try await Group(
      arguments: ["--requirepass", "data", "--masterauth", "data"],
      sentinelArguments: ["sentinel auth-pass mine data"])
    let directory = try directory("redis-sentinel://:data@\(group.address)/mine")
    #expect(try await directory.workers() == [])
    try group.sentinel.ask("ACL", "SETUSER", "default", "resetpass", ">watch")
    let guarded = try self.directory("redis-sentinel://:data@\(group.address)/mine?sentinel_password=watch")
    #expect(try await guarded.workers() == [])
    let wrong = try self.directory("redis-sentinel://:data@\(group.address)/mine?sentinel_password=other")
    await #expect(throws: ServingError.self) { _ = try await wrong.workers() }
    #expect(wrong.statistics.failures == [.authentication: 1])
  }
}
