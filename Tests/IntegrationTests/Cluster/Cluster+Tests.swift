import ClusterHarness

extension ClusterConfiguration {
  /// Two processes of each tier over a real model.
  static func smollm2(
    prefill: Int = 2, decode: Int = 2, arguments: [String] = [], prefillArguments: [String] = []
  ) -> ClusterConfiguration {
    var configuration = ClusterConfiguration(binary: TestFiles.baton ?? "", model: TestFiles.modelArguments)
    (configuration.prefill, configuration.decode) = (prefill, decode)
    configuration.arguments = { role, _ in
      let worker = ["--threads", "1", "--num-blocks", "1500", "--check-integrity-on-idle"] + arguments
      return switch role {
      case .redis, .router: []
      case .prefill: worker + prefillArguments
      case .decode: worker
      }
    }
    return configuration
  }
}

extension LocalProcesses {
  /// Starts one process that does everything.
  func serve(arguments: [String] = []) async throws -> ClusterMember {
    let own = ["--listen", "127.0.0.1:0", "--http-listen", "127.0.0.1:0", "--num-blocks", "1500"]
    let server = add(
      "serve", executable: TestFiles.baton ?? "",
      arguments: ["serve"] + TestFiles.modelArguments + own + ["--check-integrity-on-idle"] + arguments)
    try server.start()
    try await server.waitUntilReady(timeout: .seconds(120))
    return server
  }
}

extension Cluster {
  /// The only one.
  var router: ClusterMember { routers[0] }

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
