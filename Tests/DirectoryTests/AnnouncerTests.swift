import Directory
import ServingTypes
import Testing

struct AnnouncerTests {
  /// A prefix cache that tests change by hand.
  final class Cache: Sendable {
    private let changes = Lock(CacheChanges())
    func change(added: [CachedBlock] = [], removed: [CachedBlock] = [], isResync: Bool = false) {
      changes.withLock { $0 = CacheChanges(isResync: isResync, added: $0.added + added, removed: $0.removed + removed) }
    }
    func take() -> CacheChanges {
      changes.withLock { changes in
        defer { changes = CacheChanges() }
        return changes
      }
    }
  }

  func announcer(
    _ directory: any BlockDirectory, _ cache: Cache, _ configuration: AnnouncerConfiguration = .init()
  ) -> DirectoryAnnouncer {
    DirectoryAnnouncer(
      directory: directory, configuration: configuration, record: { record("a") }, changes: { cache.take() })
  }

  func depth(_ directory: any BlockDirectory, _ blocks: [CachedBlock]) async throws -> Int {
    let worker = try await directory.workers().first
    guard let worker else { return 0 }
    return try await directory.depths(blocks, [("a", 1, worker.epoch)])["a"] ?? 0
  }

  @Test func announcesAndWithdraws() async throws {
    let directory = InMemoryDirectory()
    let cache = Cache()
    let announcer = announcer(directory, cache)
    let blocks = chain(1000)
    cache.change(added: blocks)
    await announcer.poll()
    #expect(try await depth(directory, blocks) == 1000)
    cache.change(removed: blocks[600...].reversed())
    await announcer.poll()
    #expect(try await depth(directory, blocks) == 600)
    #expect(announcer.pendingBlocks == 0)
    #expect(directory.statistics.announcedBlocks == 1000)
  }

  @Test func residentsAreAnnouncedAgainAtHalfTheirLifetime() async throws {
    let start = ContinuousClock.now
    let clock = Lock(start)
    let directory = InMemoryDirectory(now: { clock.withLock { $0 } })
    let cache = Cache()
    let announcer = announcer(directory, cache)
    let blocks = chain(30)
    cache.change(added: blocks)
    for seconds in 0..<2000 {
      let now = start + .seconds(seconds)
      clock.withLock { $0 = now }
      await announcer.poll(now: now)
      #expect(try await depth(directory, blocks) == 30, "after \(seconds) s")
    }
    // At 0, 300, 600, … 1800 seconds.
    #expect(directory.statistics.announcedBlocks == 7 * 30)
  }

  @Test func aResyncOpensANewEpoch() async throws {
    let directory = InMemoryDirectory()
    let cache = Cache()
    let announcer = announcer(directory, cache)
    let blocks = chain(40)
    cache.change(added: blocks)
    await announcer.poll()
    // The removals were lost: only what is resident counts.
    cache.change(added: Array(blocks.prefix(7)), isResync: true)
    await announcer.poll()
    #expect(try await directory.workers().first?.epoch == 1)
    #expect(try await depth(directory, blocks) == 7)
  }

  @Test func theEpochRisesOnlyWhenAllIsAnnounced() {
    var book = AnnouncementBook(blockLifetime: .seconds(600))
    let blocks = chain(10)
    let now = ContinuousClock.now
    book.apply(CacheChanges(added: blocks))
    book.lose()
    book.apply(CacheChanges(removed: [blocks[9]]))
    #expect(book.next(limit: 6, now: now) == .announce(Array(blocks.prefix(6))))
    book.confirm()
    #expect(book.epoch == 1 && book.announcedEpoch == 0)
    #expect(book.next(limit: 6, now: now) == .announce(Array(blocks[6..<9])))
    #expect(book.next(limit: 6, now: now) == nil)
    book.confirm()
    #expect(book.announcedEpoch == 1)
    #expect(book.next(limit: 100, now: now + .seconds(299)) == nil)
    book.apply(CacheChanges(removed: [blocks[8]]))
    #expect(book.next(limit: 100, now: now + .seconds(300)) == .withdraw([blocks[8]]))
    #expect(book.next(limit: 100, now: now + .seconds(300)) == .announce(Array(blocks.prefix(8))))
  }

  @Test func churnDoesNotGrowTheBook() {
    var book = AnnouncementBook(blockLifetime: .seconds(600))
    let blocks = chain(8)
    let now = ContinuousClock.now
    for _ in 0..<100_000 {
      book.apply(CacheChanges(added: blocks))
      book.apply(CacheChanges(removed: blocks.reversed()))
    }
    #expect(book.pendingCount < 200_000)
    book.apply(CacheChanges(added: blocks))
    var announced: [CachedBlock] = []
    while let action = book.next(limit: 256, now: now) {
      if case .announce(let batch) = action { announced += batch }
    }
    #expect(Set(announced) == Set(blocks))
  }

  @Test(.enabled(if: RedisServer.isInstalled, "redis-server is not installed"))
  func everythingComesBackAfterRedisForgot() async throws {
    let server = try RedisServer()
    let configuration = RedisConfiguration(
      commandTimeout: .seconds(5), lookupTimeout: .seconds(30), minimumBackoff: .milliseconds(10),
      maximumBackoff: .milliseconds(50))
    let directory = try RedisDirectory(
      address: RedisAddress(endpoint: .unix(path: server.socket)), configuration: configuration)
    let cache = Cache()
    let announcer = announcer(
      directory, cache, AnnouncerConfiguration(heartbeat: .milliseconds(20), pollInterval: .milliseconds(10)))
    let blocks = chain(700)
    let other = chain(50, seed: 9)
    cache.change(added: blocks)
    try await withThrowingTaskGroup(of: Void.self) { group in
      group.addTask { await announcer.run() }
      try await eventually("not announced") { try await depth(directory, blocks) == 700 }
      try server.ask("FLUSHALL")
      try await eventually("not announced after FLUSHALL") { try await depth(directory, blocks) == 700 }
      server.kill()
      cache.change(added: other, removed: blocks[100...].reversed())
      await eventually("the loss was not noticed") { !directory.statistics.isConnected }
      try server.start()
      await eventually("no reconnection") { directory.statistics.isConnected }
      try await eventually("not announced after the restart") {
        let first = try await depth(directory, blocks)
        let second = try await depth(directory, other)
        return first == 100 && second == 50
      }
      group.cancelAll()
    }
    #expect(try await directory.workers() == [], "the end of run() withdraws the lease")
  }
}
