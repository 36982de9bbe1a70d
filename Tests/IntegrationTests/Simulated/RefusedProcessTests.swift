import ClusterHarness
import Observability
import ServingTypes
import Testing

/// Workers' processes whose Redis takes no writes.
@Suite(.serialized, .enabled(if: TestFiles.baton != nil && TestFiles.redis != nil))
struct RefusedProcessTests {
  @Test(arguments: ["prefill", "decode"]) func aReplicaIsLoggedOnceAndCountedEachTime(role: String) async throws {
    try await LocalProcesses.run { processes in
      let port = try FreePort.find()
      let redis = processes.add(
        "redis", role: .redis, executable: TestFiles.redis ?? "",
        arguments: [
          "--port", "\(port)", "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--replicaof", "127.0.0.1",
          "1",
        ])
      try redis.start()
      try await redis.waitUntilReady()
      let worker = processes.add(
        role, role: .init(rawValue: role), executable: TestFiles.baton ?? "",
        arguments: [
          role, "--simulate", "free", "--redis", "redis://127.0.0.1:\(port)", "--listen", "127.0.0.1:0",
          "--http-listen", "127.0.0.1:0",
        ])
      try worker.start()
      try await worker.waitUntilReady()
      try await waitUntil("it has tried again and again") {
        let metrics = try MetricsSnapshot(parsing: try await worker.get("/metrics").body)
        return metrics.value("baton_directory_failures_total", where: ["kind": "read_only"]) ?? 0 >= 4
      }
      let told = worker.log.split(separator: "\n").filter { $0.contains("directory ") && $0.contains("\"reason\"") }
      #expect(told.count == 1 && told.allSatisfy { $0.contains("a replica") }, "\(worker.log)")
    }
  }
}
