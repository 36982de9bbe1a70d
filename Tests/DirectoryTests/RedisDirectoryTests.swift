import Directory
import Foundation
import ServingTypes
import Testing

/// What can go wrong with a real server.
@Suite(.enabled(if: RedisServer.isInstalled, "redis-server is not installed"))
struct RedisDirectoryTests {
  static let impatient = RedisConfiguration(
    commandTimeout: .milliseconds(500), lookupTimeout: .seconds(30), minimumBackoff: .milliseconds(10),
    maximumBackoff: .milliseconds(50), quietTime: .zero)

  /// A log of changes of health.
  final class Log: Sendable {
    private let entries = Lock([DirectoryHealth]())
    func append(_ health: DirectoryHealth) { entries.withLock { $0.append(health) } }
    var kinds: [String] {
      entries.withLock { entries in
        entries.map { health in
          switch health {
          case .connected: "connected"
          case .disconnected: "disconnected"
          case .failing: "failing"
          }
        }
      }
    }
  }

  func blockKey(_ block: CachedBlock) -> String { "baton:block:{\(block.chain)}:\(digest):\(block.hash)" }

  @Test func aKilledServerCostsErrorsAndItsReturnHeals() async throws {
    let server = try RedisServer()
    let log = Log()
    let directory = try RedisDirectory(
      address: RedisAddress(endpoint: .unix(path: server.socket)), configuration: Self.impatient,
      onChange: { log.append($0) })
    let blocks = chain(10)
    try await directory.announce(blocks, as: announcing("a"), lifetime: .seconds(600))
    server.kill()
    for _ in 0..<20 {
      await #expect(throws: ServingError.self) { _ = try await directory.depths(blocks, [("a", 1, 0)]) }
      await #expect(throws: ServingError.self) { _ = try await directory.workers() }
    }
    #expect(directory.statistics.lookupErrors == 20)
    #expect(!directory.statistics.isConnected)
    try server.start()
    await eventually("no reconnection") { directory.statistics.isConnected }
    #expect(try await directory.depths(blocks, [("a", 1, 0)]) == [:], "the new server remembers nothing")
    try await directory.announce(blocks, as: announcing("a"), lifetime: .seconds(600))
    #expect(try await directory.depths(blocks, [("a", 1, 0)]) == ["a": 10])
    await eventually("one entry per change") { log.kinds == ["connected", "disconnected", "connected"] }
    #expect(directory.statistics.reconnects == 1)
  }

  @Test func aFrozenServerIsTakenForDead() async throws {
    let server = try RedisServer()
    let directory = try RedisDirectory(
      address: RedisAddress(endpoint: .unix(path: server.socket)), configuration: Self.impatient)
    let blocks = chain(10)
    try await directory.announce(blocks, as: announcing("a"), lifetime: .seconds(600))
    server.freeze()
    await #expect(throws: ServingError.self) { _ = try await directory.depths(blocks, [("a", 1, 0)]) }
    await eventually("still connected") { !directory.statistics.isConnected }
    server.thaw()
    await eventually("no reconnection") { directory.statistics.isConnected }
    #expect(try await directory.depths(blocks, [("a", 1, 0)]) == ["a": 10])
  }

  @Test func aSlowLookupEndsAtItsTimeout() async throws {
    let server = try RedisServer()
    var configuration = Self.impatient
    configuration.commandTimeout = .seconds(600)
    configuration.lookupTimeout = .milliseconds(20)
    let directory = try RedisDirectory(
      address: RedisAddress(endpoint: .unix(path: server.socket)), configuration: configuration)
    try await directory.announce(chain(3), as: announcing("a"), lifetime: .seconds(600))
    // The second time after a silence in which nobody looks at the waits any more.
    for pause in [Duration.zero, .milliseconds(1_500)] {
      try await Task.sleep(for: pause)
      server.freeze()
      await withTaskGroup(of: Void.self) { group in
        for _ in 0..<20 {
          group.addTask {
            let error = await #expect(throws: ServingError.self) {
              _ = try await directory.depths(chain(3), [("a", 1, 0)])
            }
            #expect(error?.code == .deadlineExceeded)
          }
        }
      }
      server.thaw()
      await eventually("no answer") { (try? await directory.depths(chain(3), [("a", 1, 0)])) == ["a": 3] }
    }
  }

  @Test func wrongTypedKeysAreCountedAndPassedOver() async throws {
    let server = try RedisServer()
    let log = Log()
    let directory = try RedisDirectory(
      address: RedisAddress(endpoint: .unix(path: server.socket)), configuration: Self.impatient,
      onChange: { log.append($0) })
    let blocks = chain(4)
    try server.ask("SET", blockKey(blocks[2]), "not a hash")
    try server.ask("SET", "baton:{workers}:roster", "not a sorted set")
    try server.ask("SET", "baton:{workers}:lease:a", "not a hash")
    #expect(try await directory.workers() == [])
    #expect(try await !directory.renewLease(record("a"), lifetime: .seconds(600)))
    #expect(try await directory.workers() == [record("a")], "leases mend their keys")
    try await directory.announce(blocks, as: announcing("a"), lifetime: .seconds(600))
    #expect(directory.statistics.errors == 1)
    let depth = try await directory.depths(blocks, [("a", 1, 0)])["a"]
    #expect(depth == 2)
    #expect(directory.statistics.lookupErrors == 1)
    await eventually("one entry per change") { log.kinds == ["connected", "failing"] }
    try server.ask("DEL", blockKey(blocks[2]))
    try await directory.announce(blocks, as: announcing("a"), lifetime: .seconds(600))
    #expect(try await directory.depths(blocks, [("a", 1, 0)]) == ["a": 4])
    await eventually("one entry per change") { log.kinds == ["connected", "failing", "connected"] }
  }

  @Test func aBrokenLeaseHidesNoOther() async throws {
    let server = try RedisServer()
    let directory = try RedisDirectory(
      address: RedisAddress(endpoint: .unix(path: server.socket)), configuration: Self.impatient)
    for name in ["a", "b", "c"] { _ = try await directory.renewLease(record(name), lifetime: .seconds(600)) }
    try server.ask("HSET", "baton:{workers}:lease:b", "block_size", "many")
    #expect(try await directory.workers().map(\.id.value) == ["a", "c"])
    try server.ask("DEL", "baton:{workers}:lease:c")
    #expect(try await directory.workers().map(\.id.value) == ["a"])
  }

  @Test func strangeFieldValuesAreNoHolders() async throws {
    let server = try RedisServer()
    let directory = try RedisDirectory(
      address: RedisAddress(endpoint: .unix(path: server.socket)), configuration: Self.impatient)
    let blocks = chain(1)
    for value in ["", "x", "0000000000000001:z:0:99999999999", "0000000000000001:d:0:1", "::::"] {
      try server.ask("HSET", blockKey(blocks[0]), "a", value)
      #expect(try await directory.depths(blocks, [("a", 1, 0)]) == [:], "value \(value)")
    }
  }

  @Test func scriptsSurviveBeingFlushed() async throws {
    let server = try RedisServer()
    let directory = try RedisDirectory(
      address: RedisAddress(endpoint: .unix(path: server.socket)), configuration: Self.impatient)
    _ = try await directory.renewLease(record("a"), lifetime: .seconds(600))
    try server.ask("SCRIPT", "FLUSH")
    #expect(try await directory.renewLease(record("a"), lifetime: .seconds(600)))
  }

  @Test func expiredFieldsOfForgottenWorkersAreRemoved() async throws {
    let server = try RedisServer()
    let directory = try RedisDirectory(
      address: RedisAddress(endpoint: .unix(path: server.socket)), configuration: Self.impatient)
    let blocks = chain(1)
    for worker in 0..<40 {
      try server.ask("HSET", blockKey(blocks[0]), "gone\(worker)", "0000000000000001:d:0:1000")
    }
    try await directory.announce(blocks, as: announcing("a"), lifetime: .seconds(600))
    #expect(try await directory.depths(blocks, [("a", 1, 0)]) == ["a": 1])
    #expect(directory.statistics.deletedFields == 16, "one lookup removes a bounded number")
    for _ in 0..<3 { _ = try await directory.depths(blocks, [("a", 1, 0)]) }
    #expect(directory.statistics.deletedFields == 40)
    #expect(try await directory.depths(blocks, [("a", 1, 0)]) == ["a": 1])
  }

  @Test func logsInAndSelectsADatabase() async throws {
    let server = try RedisServer(["--requirepass", "p@ss"])
    let directory = try RedisDirectory(
      address: RedisAddress("unix://:p%40ss@\(server.socket)?db=5"), configuration: Self.impatient)
    #expect(try await !directory.renewLease(record("a"), lifetime: .seconds(600)))
    let other = try RedisDirectory(
      address: RedisAddress("unix://:p%40ss@\(server.socket)?db=6"), configuration: Self.impatient)
    #expect(try await other.workers() == [])
    let log = Log()
    let stranger = try RedisDirectory(
      address: RedisAddress("unix://:wrong@\(server.socket)"), configuration: Self.impatient,
      onChange: { log.append($0) })
    let error = await #expect(throws: ServingError.self) { _ = try await stranger.workers() }
    #expect(error?.code == .unavailable)
    #expect(error?.message.contains("wrong") == false)
    await eventually("told of the refusal") { log.kinds == ["disconnected"] }
  }

  @Test func manyCallsShareTheConnection() async throws {
    let server = try RedisServer()
    let directory = try RedisDirectory(
      address: RedisAddress(endpoint: .unix(path: server.socket)), configuration: Self.impatient)
    let blocks = chain(8)
    try await directory.announce(blocks, as: announcing("a"), lifetime: .seconds(600))
    try await withThrowingTaskGroup(of: Int?.self) { group in
      for index in 0..<500 {
        group.addTask {
          try await directory.announce([blocks[index % 8]], as: announcing("b\(index)"), lifetime: .seconds(600))
          return try await directory.depths(blocks, [("a", 1, 0)])["a"]
        }
      }
      for try await depth in group { #expect(depth == 8) }
    }
    #expect(directory.statistics.pendingCommands == 0)
    #expect(directory.statistics.lookupsBySlotRange.reduce(0, +) == 500)
  }

  @Test func theQueueIsBounded() async throws {
    let server = try RedisServer()
    var configuration = Self.impatient
    configuration.maximumPendingCommands = 64
    configuration.commandTimeout = .seconds(600)
    let directory = try RedisDirectory(
      address: RedisAddress(endpoint: .unix(path: server.socket)), configuration: configuration)
    _ = try await directory.workers()
    server.freeze()
    try await withThrowingTaskGroup(of: ServingError.Code?.self) { group in
      for index in 0..<20 {
        group.addTask {
          do {
            try await directory.announce(chain(16), as: announcing("a\(index)"), lifetime: .seconds(600))
            return nil
          } catch let error as ServingError { return error.code }
        }
      }
      var refused = 0
      // At most two jobs of 32 commands are being sent, two wait, and all others are refused while the server is frozen.
      while refused < 16, let code = try await group.next() {
        #expect(code == .resourceExhausted)
        refused += 1
      }
      server.thaw()
      var accepted = 0
      for try await code in group where code == nil { accepted += 1 }
      #expect(accepted >= 2)
    }
  }

  @Test func cancellingACallEndsItsWait() async throws {
    let server = try RedisServer()
    var configuration = Self.impatient
    configuration.commandTimeout = .seconds(600)
    let directory = try RedisDirectory(
      address: RedisAddress(endpoint: .unix(path: server.socket)), configuration: configuration)
    _ = try await directory.workers()
    server.freeze()
    let code = await withTaskGroup(of: ServingError.Code?.self) { group in
      group.addTask {
        do throws(ServingError) {
          _ = try await directory.workers()
          return nil
        } catch { return error.code }
      }
      group.cancelAll()
      return await group.next() ?? nil
    }
    #expect(code == .cancelled)
    server.thaw()
  }

  @Test func aServerThatNeverWasFailsFast() async throws {
    let log = Log()
    let directory = try RedisDirectory(
      address: RedisAddress("unix:///nowhere/redis.sock"), configuration: Self.impatient, onChange: { log.append($0) })
    for _ in 0..<100 { await #expect(throws: ServingError.self) { _ = try await directory.workers() } }
    await eventually("one entry per change") { log.kinds == ["disconnected"] }
    directory.close()
    let error = await #expect(throws: ServingError.self) { _ = try await directory.workers() }
    #expect(error?.code == .unavailable)
  }
}
