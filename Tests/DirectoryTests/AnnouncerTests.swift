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

  /// Polls five times a second of a clock that is moved by hand.
  func poll(
    _ announcer: DirectoryAnnouncer, _ clock: Lock<ContinuousClock.Instant>, seconds: Int
  ) async {
    for _ in 0..<(5 * seconds) {
      let now = clock.withLock { now in
        now += .milliseconds(200)
        return now
      }
      while await announcer.poll(now: now) {}
    }
  }

  @Test func aPartThatIsAwayHidesNothingElse() async throws {
    let clock = Lock(ContinuousClock.now)
    let directory = RefusingDirectory { clock.withLock { $0 } }
    let cache = Cache()
    let announcer = announcer(directory, cache, AnnouncerConfiguration(batchSize: 16))
    let (first, second) = (chain(100), chain(100, seed: 5))
    let away = first[0].chain
    directory.behaviour.withLock { $0.refuses = { $0.chain == away } }
    cache.change(added: first + second)
    await poll(announcer, clock, seconds: 10)
    #expect(try await depth(directory, second) == 100)
    #expect(try await depth(directory, first) == 0)
    #expect(try await directory.workers().first?.epoch == 0, "what may be missing is not vouched for")
    // Meanwhile a withdrawal is lost; the new epoch makes up for it.
    cache.change(removed: [first[99]])
    await poll(announcer, clock, seconds: 10)
    directory.behaviour.withLock { $0.refuses = { _ in false } }
    await poll(announcer, clock, seconds: 30)
    #expect(try await depth(directory, first) == 99)
    #expect(try await depth(directory, second) == 100)
    #expect(try await directory.workers().first?.epoch ?? 0 > 0)
  }

  @Test func aDirectoryThatRefusesIsNotFlooded() async throws {
    let clock = Lock(ContinuousClock.now)
    let directory = RefusingDirectory { clock.withLock { $0 } }
    let cache = Cache()
    let announcer = announcer(directory, cache)
    directory.behaviour.withLock { $0.refuses = { _ in true } }
    cache.change(added: chain(500))
    await poll(announcer, clock, seconds: 600)
    // An attempt every ten seconds, and some more at the beginning.
    #expect((60...75).contains(directory.behaviour.withLock { $0.calls }))
    directory.behaviour.withLock { $0.refuses = { _ in false } }
    await poll(announcer, clock, seconds: 12)
    #expect(try await depth(directory, chain(500)) == 500)
  }

  @Test func aServerThatMayHaveForgottenHearsAllAgain() async throws {
    let clock = Lock(ContinuousClock.now)
    let directory = RefusingDirectory { clock.withLock { $0 } }
    let cache = Cache()
    let announcer = announcer(directory, cache)
    let blocks = chain(50)
    cache.change(added: blocks)
    await poll(announcer, clock, seconds: 2)
    // A node of a cluster came back empty, and the lease lies on another.
    let worker = AnnouncingWorker(worker: WorkerID("a"), incarnation: Incarnation(1), epoch: 0, layoutDigest: digest)
    try await directory.inner.withdraw(blocks.reversed(), as: worker)
    directory.behaviour.withLock { $0.possibleLosses = 1 }
    await poll(announcer, clock, seconds: 1)
    #expect(try await depth(directory, blocks) == 50)
    #expect(directory.statistics.announcedBlocks == 100)
    // Again and again: it is told again and again, with growing pauses.
    for losses in 2..<600 {
      directory.behaviour.withLock { $0.possibleLosses = losses }
      await poll(announcer, clock, seconds: 1)
    }
    #expect(directory.behaviour.withLock { $0.calls } < 80)
  }

  @Test(.enabled(if: RedisServer.isInstalled, "redis-server is not installed"))
  func aRestartUnderTheSameNameVoidsTheOldLifeAtOnce() async throws {
    let server = try RedisServer()
    let directory = try RedisDirectory(address: RedisAddress(endpoint: .unix(path: server.socket)))
    func life(_ incarnation: UInt64, holding blocks: [CachedBlock]) async {
      let cache = Cache()
      cache.change(added: blocks)
      let announcer = DirectoryAnnouncer(
        directory: directory, record: { record("a", incarnation: incarnation) }, changes: { cache.take() })
      await announcer.poll()
    }
    func found() async throws -> Int? {
      let worker = try #require(try await directory.workers().first)
      let holder = (worker.id.value, worker.reference.incarnation.value, worker.epoch)
      return try await directory.depths(chain(300), [holder])["a"]
    }
    await life(1, holding: chain(300))
    #expect(try await found() == 300)
    // Killed without a word, and back with an empty cache.
    await life(2, holding: [])
    #expect(try await found() == nil)
    await life(3, holding: Array(chain(300).prefix(5)))
    #expect(try await found() == 5)
    // The old life's last words come late.
    try await directory.announce(chain(300), as: announcing("a", incarnation: 1), lifetime: .seconds(600))
    #expect(try await found() == nil, "they void what they overwrite, and are not believed")
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
