import Directory
import ServingTypes
import Testing

/// What both directories must do alike.
@Suite(.enabled(if: RedisServer.isInstalled, "redis-server is not installed"))
struct DirectoryContractTests {
  enum Kind: String, CaseIterable { case redis, memory }

  /// Keeps the server while the directory is in use.
  struct Subject {
    var directory: any BlockDirectory
    var server: RedisServer?
  }

  func subject(_ kind: Kind) throws -> Subject {
    switch kind {
    case .memory: return Subject(directory: InMemoryDirectory())
    case .redis:
      let server = try RedisServer()
      let configuration = RedisConfiguration(lookupTimeout: .seconds(30))
      let directory = try RedisDirectory(
        address: RedisAddress(endpoint: .unix(path: server.socket)), configuration: configuration)
      return Subject(directory: directory, server: server)
    }
  }

  @Test(arguments: Kind.allCases)
  func leasesListWorkersAsTheyDescribedThemselves(_ kind: Kind) async throws {
    let subject = try subject(kind)
    let directory = subject.directory
    var second = record("b", incarnation: .max, role: .prefill, epoch: 7)
    second.isDraining = true
    #expect(try await !directory.renewLease(record("a"), lifetime: .seconds(60)))
    #expect(try await !directory.renewLease(second, lifetime: .seconds(60)))
    #expect(try await directory.renewLease(record("a"), lifetime: .seconds(60)))
    #expect(try await directory.workers() == [record("a"), second])
    #expect(
      try await !directory.renewLease(record("a", incarnation: 2), lifetime: .seconds(60)),
      "another incarnation never held this lease")
    try await directory.withdrawLease(record("a", incarnation: 1).reference)
    #expect(try await directory.workers().count == 2, "an old incarnation cannot end a new one's lease")
    try await directory.withdrawLease(record("a", incarnation: 2).reference)
    #expect(try await directory.workers() == [second])
    withExtendedLifetime(subject) {}
  }

  @Test(arguments: Kind.allCases)
  func leasesExpire(_ kind: Kind) async throws {
    let subject = try subject(kind)
    _ = try await subject.directory.renewLease(record("a"), lifetime: .milliseconds(50))
    _ = try await subject.directory.renewLease(record("b"), lifetime: .seconds(600))
    try await eventually("the lease of a did not expire") {
      try await subject.directory.workers().map(\.id.value) == ["b"]
    }
    withExtendedLifetime(subject) {}
  }

  @Test(arguments: Kind.allCases)
  func findsEachWorkersLongestPrefix(_ kind: Kind) async throws {
    let subject = try subject(kind)
    let blocks = chain(300)
    let depths = ["none": 0, "one": 1, "some": 137, "most": 299, "all": 300]
    for (name, depth) in depths {
      try await subject.directory.announce(
        Array(blocks.prefix(depth)), as: announcing(name), lifetime: .seconds(600))
    }
    let found = try await subject.directory.depths(blocks, depths.keys.map { ($0, 1, 0) })
    #expect(found == depths.filter { $0.value > 0 })
    let shorter = try await subject.directory.depths(Array(blocks.prefix(10)), depths.keys.map { ($0, 1, 0) })
    #expect(shorter == ["one": 1, "some": 10, "most": 10, "all": 10])
    #expect(try await subject.directory.depths(chain(5, seed: 1), [("all", 1, 0)]) == [:])
    #expect(try await subject.directory.depths([], [("all", 1, 0)]) == [:])
    #expect(try await subject.directory.depths(blocks, []) == [:])
    withExtendedLifetime(subject) {}
  }

  @Test(arguments: Kind.allCases)
  func everyDepthOfShortChainsIsFound(_ kind: Kind) async throws {
    let subject = try subject(kind)
    let blocks = chain(17)
    for depth in 1...17 {
      try await subject.directory.announce(
        Array(blocks.prefix(depth)), as: announcing("w\(depth)"), lifetime: .seconds(600))
    }
    for length in 1...17 {
      let found = try await subject.directory.depths(Array(blocks.prefix(length)), (1...17).map { ("w\($0)", 1, 0) })
      #expect(found == Dictionary(uniqueKeysWithValues: (1...17).map { ("w\($0)", min($0, length)) }))
    }
    withExtendedLifetime(subject) {}
  }

  @Test(arguments: Kind.allCases)
  func aNewIncarnationVoidsTheOldEntries(_ kind: Kind) async throws {
    let subject = try subject(kind)
    let blocks = chain(20)
    try await subject.directory.announce(blocks, as: announcing("a"), lifetime: .seconds(600))
    #expect(try await subject.directory.depths(blocks, [("a", 1, 0)]) == ["a": 20])
    #expect(try await subject.directory.depths(blocks, [("a", 2, 0)]) == [:])
    try await subject.directory.announce(
      Array(blocks.prefix(3)), as: announcing("a", incarnation: 2), lifetime: .seconds(600))
    #expect(try await subject.directory.depths(blocks, [("a", 2, 0)]) == ["a": 3])
    withExtendedLifetime(subject) {}
  }

  @Test(arguments: Kind.allCases)
  func aNewEpochVoidsTheOldEntries(_ kind: Kind) async throws {
    let subject = try subject(kind)
    let blocks = chain(20)
    try await subject.directory.announce(blocks, as: announcing("a"), lifetime: .seconds(600))
    try await subject.directory.announce(
      Array(blocks.prefix(8)), as: announcing("a", epoch: 1), lifetime: .seconds(600))
    #expect(try await subject.directory.depths(blocks, [("a", 1, 0)]) == ["a": 20])
    #expect(try await subject.directory.depths(blocks, [("a", 1, 1)]) == ["a": 8])
    withExtendedLifetime(subject) {}
  }

  @Test(arguments: Kind.allCases)
  func withdrawnBlocksShortenThePrefix(_ kind: Kind) async throws {
    let subject = try subject(kind)
    let blocks = chain(64)
    for name in ["a", "b"] {
      try await subject.directory.announce(blocks, as: announcing(name), lifetime: .seconds(600))
    }
    try await subject.directory.withdraw(blocks[40...].reversed(), as: announcing("a"))
    #expect(try await subject.directory.depths(blocks, [("a", 1, 0), ("b", 1, 0)]) == ["a": 40, "b": 64])
    withExtendedLifetime(subject) {}
  }

  @Test(arguments: Kind.allCases)
  func holesCostHitsOnly(_ kind: Kind) async throws {
    let subject = try subject(kind)
    let blocks = chain(100)
    try await subject.directory.announce(blocks, as: announcing("a"), lifetime: .seconds(600))
    try await subject.directory.withdraw([blocks[10], blocks[50], blocks[51]], as: announcing("a"))
    let depth = try await subject.directory.depths(blocks, [("a", 1, 0)])["a"] ?? 0
    #expect((10...100).contains(depth))
    try await subject.directory.withdraw([blocks[0]], as: announcing("a"))
    #expect(try await subject.directory.depths(blocks, [("a", 1, 0)]) == [:])
    withExtendedLifetime(subject) {}
  }

  @Test(arguments: Kind.allCases)
  func tiersAreToldApart(_ kind: Kind) async throws {
    let subject = try subject(kind)
    let blocks = chain(50) { $0 < 20 ? .device : $0 < 33 ? .host : .file }
    let farther = chain(50) { $0 < 5 ? .host : .file }
    try await subject.directory.announce(blocks, as: announcing("a"), lifetime: .seconds(600))
    try await subject.directory.announce(farther, as: announcing("b"), lifetime: .seconds(600))
    try await subject.directory.announce(Array(blocks.prefix(12)), as: announcing("c"), lifetime: .seconds(600))
    let found = try await subject.directory.longestPrefixes(query(blocks, [("a", 1, 0), ("b", 1, 0), ("c", 1, 0)]))
    #expect(found[WorkerID("a")] == CachedPrefix(device: 20, host: 13, file: 17))
    #expect(found[WorkerID("b")] == CachedPrefix(device: 0, host: 5, file: 45))
    #expect(found[WorkerID("c")] == CachedPrefix(device: 12))
    #expect(found[WorkerID("a")]?.weightedBlocks == 20 + 0.75 * 13 + 0.25 * 17)
    withExtendedLifetime(subject) {}
  }

  @Test(arguments: Kind.allCases)
  func manyWorkersAndLongPrompts(_ kind: Kind) async throws {
    let subject = try subject(kind)
    let blocks = chain(2048)
    var expected: [String: Int] = [:]
    for worker in 0..<64 {
      let depth = (worker * 331) % 2049
      expected["w\(worker)"] = depth == 0 ? nil : depth
      for start in stride(from: 0, to: depth, by: 256) {
        try await subject.directory.announce(
          Array(blocks[start..<min(start + 256, depth)]), as: announcing("w\(worker)"), lifetime: .seconds(600))
      }
    }
    let found = try await subject.directory.depths(blocks, (0..<64).map { ("w\($0)", 1, 0) })
    #expect(found == expected)
    withExtendedLifetime(subject) {}
  }
}
