import Directory
import Foundation
import ServingTypes
import Testing

/// Everything that a real server refuses costs a hit, is counted by its kind and told once, and is over when its cause is.
@Suite(.enabled(if: RedisServer.isInstalled, "redis-server is not installed"))
struct RedisRefusalTests {
  typealias Log = RedisDirectoryTests.Log

  func directory(
    _ server: RedisServer, _ log: Log = Log(), login: String = "", configuration: RedisConfiguration? = nil
  ) throws -> RedisDirectory {
    try RedisDirectory(
      address: RedisAddress("unix://\(login)\(server.socket)"),
      configuration: configuration ?? RedisDirectoryTests.impatient, onChange: { log.append($0) })
  }

  /// Makes every kind of call; how many of them were refused.
  func callAll(_ directory: RedisDirectory) async -> Int {
    let blocks = chain(4)
    var refused = 0
    do { _ = try await directory.renewLease(record("a"), lifetime: .seconds(600)) } catch { refused += 1 }
    do { _ = try await directory.workers() } catch { refused += 1 }
    do { try await directory.announce(blocks, as: announcing("a"), lifetime: .seconds(600)) } catch { refused += 1 }
    do { _ = try await directory.depths(blocks, [("a", 1, 0)]) } catch { refused += 1 }
    do { try await directory.withdraw([blocks[3]], as: announcing("a")) } catch { refused += 1 }
    do { try await directory.withdrawLease(record("a").reference) } catch { refused += 1 }
    return refused
  }

  func isWell(_ directory: RedisDirectory) async -> Bool {
    let refused = await callAll(directory)
    return refused == 0
  }

  func failures(_ directory: RedisDirectory, _ kind: DirectoryFailure) -> Int {
    directory.statistics.failures[kind, default: 0]
  }

  @Test func aReplicaIsNoServer() async throws {
    let server = try RedisServer(["--replicaof", "127.0.0.1", "1"])
    let log = Log()
    let directory = try directory(server, log)
    await eventually("not refused") {
      _ = await callAll(directory)
      return failures(directory, .readOnly) > 0
    }
    #expect(await callAll(directory) == 6)
    #expect(!directory.statistics.isConnected)
    #expect(log.kinds == ["disconnected"])
    try server.ask("REPLICAOF", "NO", "ONE")
    await eventually("not well") { await isWell(directory) }
    #expect(log.kinds == ["disconnected", "connected"])
  }

  @Test func aServerMayBecomeAReplica() async throws {
    let server = try RedisServer()
    let log = Log()
    let directory = try directory(server, log)
    #expect(await callAll(directory) == 0)
    try server.ask("REPLICAOF", "127.0.0.1", "1")
    await eventually("not refused") {
      _ = await callAll(directory)
      return failures(directory, .readOnly) > 0 && !directory.statistics.isConnected
    }
    for _ in 0..<20 { _ = await callAll(directory) }
    #expect(log.kinds.count <= 3 && Set(log.kinds).isSubset(of: ["connected", "failing", "disconnected"]))
    try server.ask("REPLICAOF", "NO", "ONE")
    await eventually("not well") { await isWell(directory) }
    #expect(log.kinds.last == "connected")
  }

  @Test func aReplicaWithoutItsMasterIsRefusedToo() async throws {
    let server = try RedisServer(["--replica-serve-stale-data", "no"])
    let directory = try directory(server)
    #expect(await callAll(directory) == 0)
    try server.ask("REPLICAOF", "127.0.0.1", "1")
    await eventually("not refused") {
      _ = await callAll(directory)
      return failures(directory, .masterDown) > 0
    }
    try server.ask("REPLICAOF", "NO", "ONE")
    await eventually("not well") { await isWell(directory) }
  }

  @Test func aServerThatLoadsIsWaitedFor() async throws {
    let server = try RedisServer(["--enable-debug-command", "yes"])
    try server.ask("DEBUG", "POPULATE", "3000")
    try server.ask("SAVE")
    server.kill()
    server.arguments += ["--key-load-delay", "1000", "--loading-process-events-interval-bytes", "1024"]
    try server.start()
    let directory = try directory(server)
    await eventually("no refusal while it loads") {
      _ = await callAll(directory)
      return failures(directory, .loading) > 0
    }
    await eventually("not well") { await isWell(directory) }
  }

  @Test func fullMemoryCostsAnnouncementsAlone() async throws {
    let server = try RedisServer(["--maxmemory-policy", "noeviction"])
    let log = Log()
    let directory = try directory(server, log)
    #expect(await callAll(directory) == 0)
    try server.ask("CONFIG", "SET", "maxmemory", "1")
    for _ in 0..<10 {
      await #expect(throws: ServingError.self) {
        try await directory.announce(chain(4), as: announcing("a"), lifetime: .seconds(600))
      }
    }
    #expect(failures(directory, .outOfMemory) == 10)
    #expect(try await !directory.renewLease(record("a"), lifetime: .seconds(600)), "a worker still gets its lease")
    #expect(try await directory.renewLease(record("a"), lifetime: .seconds(600)))
    #expect(try await directory.workers() == [record("a")])
    #expect(try await directory.depths(chain(4), [("a", 1, 0)]) == ["a": 3], "what is there is still found")
    #expect(log.kinds.prefix(2) == ["connected", "failing"])
    try server.ask("CONFIG", "SET", "maxmemory", "0")
    await eventually("not well") { await isWell(directory) }
  }

  @Test func aWrongPasswordIsToldOnce() async throws {
    let server = try RedisServer(["--requirepass", "right"])
    let log = Log()
    let wrong = try directory(server, log, login: ":wrong@")
    let none = try directory(server, log)
    for subject in [wrong, none] {
      await eventually("not refused") {
        _ = await callAll(subject)
        return failures(subject, .authentication) > 10
      }
      #expect(failures(subject, .authentication) == subject.statistics.errors)
    }
    #expect(log.kinds == ["disconnected", "disconnected"], "one for each of the two")
    try server.ask("CONFIG", "SET", "requirepass", "wrong", login: "right")
    await eventually("not well") { await isWell(wrong) }
  }

  @Test func missingPermissionsAreCounted() async throws {
    let server = try RedisServer()
    try server.ask("ACL", "SETUSER", "worker", "on", ">pw", "~elsewhere:*", "+@all")
    let log = Log()
    let directory = try directory(server, log, login: "worker:pw@")
    #expect(await callAll(directory) == 6)
    #expect(failures(directory, .permission) == 6)
    #expect(await callAll(directory) == 6)
    #expect(log.kinds == ["failing"])
    try server.ask("ACL", "SETUSER", "worker", "~baton:*")
    await eventually("not well") { await isWell(directory) }
    try server.ask("ACL", "SETUSER", "worker", "-hset")
    #expect(await callAll(directory) > 0)
    #expect(failures(directory, .permission) > 12, "\(directory.statistics.failures)")
  }

  @Test func theDocumentedPermissionsSuffice() async throws {
    let server = try RedisServer()
    let commands =
      "eval evalsha hset hdel hget hmget hgetall hlen hscan expire pexpire del type zadd zrem zrange zremrangebyscore "
      + "time ping role info"
    for command in commands.split(separator: " ") {
      try server.ask("ACL", "SETUSER", "least", "on", ">pw", "~baton:*", "+\(command)")
    }
    let directory = try directory(server, login: "least:pw@")
    #expect(await callAll(directory) == 0, "\(directory.statistics.failures)")
    // Scripts that mend wrong keys and remove old fields are there for the rest.
    try server.ask("SET", "baton:{workers}:lease:a", "not a hash")
    try server.ask("SET", "baton:{workers}:roster", "not a sorted set")
    #expect(await callAll(directory) == 0, "\(directory.statistics.failures)")
  }

  @Test func aBusyServerIsNotWaitedFor() async throws {
    let server = try RedisServer(["--busy-reply-threshold", "20"])
    var configuration = RedisDirectoryTests.impatient
    configuration.commandTimeout = .seconds(60)
    let directory = try directory(server, configuration: configuration)
    #expect(await callAll(directory) == 0)
    try await withThrowingTaskGroup(of: Void.self) { group in
      group.addTask { _ = try? server.ask("EVAL", "while true do end", "0") }
      await eventually("not busy") {
        _ = await callAll(directory)
        return failures(directory, .busy) > 0
      }
      try server.ask("SCRIPT", "KILL")
      try await group.waitForAll()
    }
    await eventually("not well") { await isWell(directory) }
  }

  @Test func missingCommandsAreCounted() async throws {
    let server = try RedisServer(["--rename-command", "HSET", "", "--rename-command", "EVALSHA", ""])
    let directory = try directory(server)
    #expect(await callAll(directory) == 5, "HDEL alone is there")
    #expect(failures(directory, .other) == 5)
  }

  @Test func aPausedServerIsTakenForDead() async throws {
    let server = try RedisServer()
    let directory = try directory(server)
    #expect(await callAll(directory) == 0)
    try server.ask("CLIENT", "PAUSE", "2000", "ALL")
    #expect(await callAll(directory) == 6)
    #expect(failures(directory, .timeout) > 0)
    await eventually("not well") { await isWell(directory) }
  }

  @Test func writesThatNobodyWouldKeepAreRefused() async throws {
    let server = try RedisServer(["--min-replicas-to-write", "1"])
    let directory = try directory(server)
    #expect(await callAll(directory) > 0)
    #expect(failures(directory, .writesRefused) > 0)
    try server.ask("CONFIG", "SET", "min-replicas-to-write", "0")
    await eventually("not well") { await isWell(directory) }
  }

  @Test func aNodeOfAClusterIsNoSingleServer() async throws {
    let port = try RedisServer.freePorts(2)
    let server = try RedisServer(["--cluster-enabled", "yes", "--cluster-port", "\(port[1])"], port: port[0])
    let directory = try directory(server)
    #expect(await callAll(directory) == 6)
    #expect(failures(directory, .clusterDown) == 6)
  }
}
