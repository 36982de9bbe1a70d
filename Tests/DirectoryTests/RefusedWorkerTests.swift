import Directory
import Observability
import ServingTypes
import Testing

/// A worker whose Redis refuses it says so once for each reason, however often it tries, and counts every time.
struct RefusedWorkerTests {
  static let refusals: [(DirectoryFailure, String)] = [
    (.readOnly, "READONLY You can't write against a read only replica."),
    (.loading, "LOADING Redis is loading the dataset in memory"),
    (.moved, "MOVED 1 127.0.0.1:1"),
  ]

  /// The reason for which a health is not well.
  private static func reason(_ health: DirectoryHealth) -> String? {
    switch health {
    case .connected: nil
    case .disconnected(let reason), .failing(_, let reason): reason
    }
  }

  @Test func eachReasonIsToldOnceAndCountedEachTime() async throws {
    let refusal = Lock<String?>(nil)
    let server = try FakeRedis { command in
      FakeRedis.greetings(command) ?? .text(refusal.withLock { $0.map { "-\($0)\r\n" } ?? ":1\r\n" })
    }
    var configuration = RedisDirectoryTests.impatient
    // A slow machine is no reason to be told.
    configuration.commandTimeout = .seconds(30)
    // It is never well for long enough to be ill anew.
    configuration.quietTime = .seconds(600)
    let told = Lock<[DirectoryHealth]>([])
    let directory = try RedisDirectory(
      address: RedisAddress("unix://\(server.socket)"), configuration: configuration,
      onChange: { health in told.withLock { $0.append(health) } })
    let cache = AnnouncerTests.Cache()
    let announcer = DirectoryAnnouncer(
      directory: directory, record: { record("a") }, changes: { cache.take() })
    // Each look is one at which the lease is due.
    var now = ContinuousClock.now
    func poll() async {
      now += .seconds(30)
      await announcer.poll(now: now)
    }
    cache.change(added: chain(4))
    await poll()
    #expect(directory.statistics.announcedBlocks == 4)

    for (index, (kind, reply)) in Self.refusals.enumerated() {
      refusal.withLock { $0 = reply }
      for attempt in 0..<10 {
        cache.change(added: chain(4, seed: TokenID(10 * index + attempt + 1)))
        await poll()
      }
      #expect(directory.statistics.failures[kind, default: 0] >= 10, "\(directory.statistics.failures)")
      refusal.withLock { $0 = nil }
      await eventually("not well") {
        let errors = directory.statistics.errors
        await poll()
        return directory.statistics.errors == errors
      }
    }
    let failures = directory.statistics.failures
    #expect(Set(failures.keys) == Set(Self.refusals.map(\.0)))
    #expect(failures.values.reduce(0, +) == directory.statistics.errors)
    let metrics = MetricsRegistry()
    metrics.onCollect { directory.statistics.collect($0) }
    for (kind, reply) in Self.refusals {
      let line = "baton_directory_failures_total{kind=\"\(kind.rawValue)\"} \(failures[kind, default: 0])\n"
      #expect(metrics.exposition().contains(line))
      let lines = told.withLock(\.self).compactMap(Self.reason).filter { $0.contains(reply) }
      // One that turns out to be a replica is left as well, and may be called both failing and away.
      #expect((1...(kind == .readOnly ? 2 : 1)).contains(lines.count), "\(lines)")
    }
    let kinds = told.withLock(\.self).map { "\($0)" }
    #expect(Set(kinds).count == kinds.count, "\(kinds)")
    directory.close()
  }
}
