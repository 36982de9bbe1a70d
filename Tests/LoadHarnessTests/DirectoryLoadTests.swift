import Foundation
import LoadHarness
import Testing

@Suite(
  .enabled(if: FileManager.default.isExecutableFile(atPath: "/usr/bin/redis-server"), "redis-server is not installed"))
struct DirectoryLoadTests {
  /// The answers are compared with what was announced; the figures are for the benchmark alone.
  @Test func aSmallLoadGivesFiguresAndRightAnswers() async throws {
    var load = DirectoryLoad()
    (load.announcedBlocks, load.promptBlocks, load.holders, load.lookups) = (5000, 100, 5, 50)
    let redis = try LoopbackRedis()
    let result = try await load.run(on: redis.address)
    #expect(result.announcedPerSecond > 0 && result.lookupP99Microseconds >= result.lookupMedianMicroseconds)
    #expect(result.bars.count == 2)
  }
}
