import ClusterHarness

extension Cluster {
  /// The only one.
  var router: LocalProcess { routers[0] }

  /// Every worker that still runs is idle, holds no block in use and proves that none leaked.
  func expectNoBlocksInUse() async throws {
    for worker in workers where worker.isRunning {
      try await waitUntil("\(worker.name) has no active block") {
        let statistics = try await worker.statistics()
        return statistics.activeBlocks == 0 && statistics.runningSequences == 0 && statistics.waitingSequences == 0
      }
      _ = try await worker.statistics(checkIntegrity: true)
    }
  }
}
