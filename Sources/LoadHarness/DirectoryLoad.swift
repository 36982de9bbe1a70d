import Directory
import ServingTypes

/// What the block directory does in a second: one worker's announcements, and lookups of a long prompt that many hold.
public struct DirectoryLoad: Sendable {
  /// Blocks that the worker announces, in chains of `chainBlocks`.
  public var announcedBlocks = 200_000
  public var chainBlocks = 64
  /// Blocks of the prompt that is looked up, and workers that hold a part of it each.
  public var promptBlocks = 2048
  public var holders = 16
  /// Prompts that lookups take turns with, and lookups in all.
  public var prompts = 4
  public var lookups = 2000
  public var seed: UInt64 = 1

  public init() {}

  /// The figures of one run.
  public struct Result: Codable, Hashable, Sendable {
    public var announcedPerSecond: Double
    public var lookupMedianMicroseconds: Double
    public var lookupP99Microseconds: Double

    public var bars: [Bar] {
      [
        Bar(
          work: "directory", figure: "blocks announced by one worker", ours: announcedPerSecond, baseline: nil,
          .atLeast, bar: 100_000, unit: "/s"),
        Bar(
          work: "directory", figure: "longest prefix of 2,048 blocks over 16 holders, p99",
          ours: lookupP99Microseconds / 1000, baseline: nil, .atMost, bar: 2, unit: "ms"),
      ]
    }
  }

  /// Starts a redis-server on the loopback for it.
  public func run(port: Int) async throws -> Result {
    let redis = try LoopbackRedis(port: port)
    defer { withExtendedLifetime(redis) {} }
    return try await run(on: redis.address)
  }

  /// Measures on the server of that address, which should be empty.
  public func run(on address: RedisAddress) async throws -> Result {
    let directory = try RedisDirectory(
      address: address, configuration: RedisConfiguration(lookupTimeout: .seconds(5)))
    defer { directory.close() }
    let lookups = try await measureLookups(directory)
    return Result(
      announcedPerSecond: try await announce(to: directory), lookupMedianMicroseconds: lookups.median,
      lookupP99Microseconds: lookups.quantile(0.99))
  }

  /// Blocks in a second, from the change of the cache to the last reply, through the announcer that workers run.
  private func announce(to directory: RedisDirectory) async throws -> Double {
    var random = SplitMix64(seed: seed)
    var blocks: [CachedBlock] = []
    blocks.reserveCapacity(announcedBlocks)
    while blocks.count < announcedBlocks { blocks += chain(chainBlocks, &random) }
    let changes = Lock(CacheChanges(added: blocks))
    let record = record("announcer")
    let announcer = DirectoryAnnouncer(
      directory: directory, record: { record },
      changes: {
        changes.withLock { changes in
          defer { changes = CacheChanges() }
          return changes
        }
      })
    let start = ContinuousClock.now
    while await announcer.poll() {}
    let seconds = (ContinuousClock.now - start) / .seconds(1)
    guard directory.statistics.failures.isEmpty, announcer.pendingBlocks == 0 else {
      throw ServingError(.unavailable, "announcements failed: \(directory.statistics.failures)")
    }
    return Double(blocks.count) / seconds
  }

  /// Microseconds of each lookup, one at a time.
  private func measureLookups(_ directory: RedisDirectory) async throws -> [Double] {
    var random = SplitMix64(seed: seed &+ 1)
    let names = (0..<holders).map { "holder-\($0)" }
    var queries: [PrefixQuery] = []
    var expected: [[WorkerID: Int]] = []
    for _ in 0..<prompts {
      let blocks = chain(promptBlocks, &random)
      var depths: [WorkerID: Int] = [:]
      for name in names {
        let depth = 1 + Int(random.next() % UInt64(promptBlocks))
        depths[WorkerID(name)] = depth
        let worker = AnnouncingWorker(
          worker: WorkerID(name), incarnation: Incarnation(7), epoch: 0, layoutDigest: Self.layoutDigest)
        try await directory.announce(Array(blocks.prefix(depth)), as: worker, lifetime: .seconds(600))
      }
      expected.append(depths)
      queries.append(
        PrefixQuery(
          layoutDigest: Self.layoutDigest, hashes: blocks.map(\.hash),
          holders: names.map { PrefixQuery.Holder(worker: WorkerID($0), incarnation: Incarnation(7), epoch: 0) }))
    }
    var times: [Double] = []
    for lookup in 0..<(lookups + 2 * prompts) {
      let turn = lookup % prompts
      let start = ContinuousClock.now
      let found = try await directory.longestPrefixes(queries[turn])
      // The first ones teach the server its script.
      if lookup >= 2 * prompts { times.append((ContinuousClock.now - start) / .microseconds(1)) }
      guard found.mapValues(\.blocks) == expected[turn] else {
        throw ServingError(.internalError, "the directory's answer is wrong")
      }
    }
    return times
  }

  private static let layoutDigest = String(repeating: "5a", count: 16)

  private func chain(_ count: Int, _ random: inout SplitMix64) -> [CachedBlock] {
    let hashes = (0..<count).map { _ in BlockHash(high: random.next(), low: random.next()) }
    return hashes.enumerated().map { CachedBlock(hash: $1, chain: hashes[0], depth: $0) }
  }

  private func record(_ name: String) -> WorkerRecord {
    WorkerRecord(
      reference: WorkerReference(id: WorkerID(name), address: "127.0.0.1:1", incarnation: Incarnation(7)),
      role: .prefill, model: "simulated", layoutDigest: Self.layoutDigest, blockSize: 16, blockCount: announcedBlocks,
      maximumModelLength: 32_768)
  }
}
