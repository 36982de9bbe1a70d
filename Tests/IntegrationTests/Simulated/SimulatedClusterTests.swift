import ClusterHarness
import Foundation
import ServingProtos
import ServingTypes
import Testing

/// Clusters of simulated workers: real processes, gRPC and Redis, no model.
@Suite(.serialized, .enabled(if: TestFiles.baton != nil && TestFiles.redis != nil))
struct SimulatedClusterTests {
  /// - Parameter socket: where Redis is reached; nil: over TCP.
  @Test(arguments: [nil, "/tmp/baton-\(RequestID.random().value.prefix(12)).sock"])
  func aRequestGoesThroughBothTiersAndIsFoundAgain(_ socket: String?) async throws {
    var configuration = ClusterConfiguration.simulated()
    if let socket {
      let others = configuration.arguments
      configuration.arguments = { role, index in
        others(role, index) + (role == .redis ? ["--unixsocket", socket] : ["--redis", "unix://\(socket)"])
      }
    }
    defer { if let socket { try? FileManager.default.removeItem(atPath: socket) } }
    try await Cluster.run(configuration) { cluster in
      try await RouterClient.with(cluster.routers[0].grpc) { client in
        let first = try await client.generate(TokenPrompts.greedy(400))
        #expect(first.tokens.count == 24 && first.finish == .length && first.usage.cachedTokens == 0)
        #expect(first.route.hasPrefill && first.route.transferredBlocks > 0)
        let second = try await client.generate(TokenPrompts.greedy(400))
        #expect(second.tokens == first.tokens && second.usage.cachedTokens >= 384)
      }
      for worker in cluster.workers {
        _ = try await RouterClient.with(worker.grpc) { try await $0.statistics(checksIntegrity: true) }
      }
    }
  }

  @Test func membersDieFreezeAndComeBackUnderTheirNames() async throws {
    try await Cluster.run(.simulated(decode: 2)) { cluster in
      let request = TokenPrompts.greedy(300)
      let answer = try await RouterClient.with(cluster.routers[0].grpc) { try await $0.generate(request) }
      let victim = cluster.decode[0]
      let pid = victim.pid
      victim.kill()
      try await victim.waitForExit()
      #expect(!victim.isRunning)
      // Refused as long as it runs.
      #expect(throws: ServingError.self) { try cluster.decode[1].start() }
      try victim.start()
      try await victim.waitUntilReady()
      #expect(victim.pid != pid && victim.lifeCount == 2)
      cluster.prefill[0].freeze()
      cluster.prefill[0].thaw()
      try await cluster.redis.restart()
      try await cluster.routers[0].restart()
      try await cluster.waitForWorkers()
      let again = try await RouterClient.with(cluster.routers[0].grpc) { try await $0.generate(request) }
      #expect(again.tokens == answer.tokens)
    }
  }

  @Test func aFailureKeepsTheLogsAndSaysWhere() async throws {
    var bad = ClusterConfiguration.simulated()
    bad.model = ["--simulate", "no-such-model"]
    do {
      try await Cluster.run(bad) { _ in }
      Issue.record("a cluster without a model started")
    } catch let error as ServingError {
      #expect(error.message.contains("no-such-model"))
      let folder = try #require(error.message.split(separator: "logs in ").last?.dropLast())
      #expect(FileManager.default.fileExists(atPath: "\(folder)/router-0.log"))
      try FileManager.default.removeItem(atPath: String(folder))
    }
  }

  /// Nothing can be put away by a process that is killed: its guardian does it.
  @Test func nobodyOutlivesItsOwner() async throws {
    try await LocalProcesses.run { processes in
      let owner = processes.add(
        "bench", executable: TestFiles.baton ?? "",
        arguments: ["bench", "cluster", "--workers", "1:1", "--rate", "2", "--seconds", "600"],
        environment: ["TMPDIR": processes.folder])
      try owner.start()
      // Redis, router, two workers and the guardian.
      try await waitUntil("the cluster runs") { Self.children(of: owner.pid).count == 5 }
      let children = Self.children(of: owner.pid)
      owner.kill()
      try await waitUntil("all of them end") { children.allSatisfy { !Self.isAlive($0) } }
    }
  }

  private static func children(of pid: Int32) -> [Int32] {
    let entries = (try? FileManager.default.contentsOfDirectory(atPath: "/proc")) ?? []
    return entries.compactMap { Int32($0) }.filter { fields(of: $0)?.last == "\(pid)" }
  }

  /// A process that has ended and waits for somebody to ask how is not alive.
  private static func isAlive(_ pid: Int32) -> Bool { fields(of: pid).map { $0.first != "Z" } ?? false }

  /// State and parent.
  private static func fields(of pid: Int32) -> [String]? {
    guard let text = try? String(contentsOfFile: "/proc/\(pid)/stat", encoding: .utf8),
      let end = text.lastIndex(of: ")")
    else { return nil }
    return text[text.index(after: end)...].split(separator: " ").prefix(2).map(String.init)
  }
}
