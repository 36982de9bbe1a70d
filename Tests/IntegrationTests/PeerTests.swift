import ClusterHarness
import Foundation
import Testing

/// Clients that others wrote, against a real cluster.
@Suite(.serialized, .enabled(if: TestFiles.canRunClusters, "needs baton, SmolLM2 and redis-server"))
struct PeerTests {
  @Test(.enabled(if: TestFiles.python != nil, "needs BATON_TEST_PYTHON with openai and grpcio"))
  func openAIAndReflectionClientsWork() async throws {
    try await Cluster.run(.smollm2(prefill: 1, decode: 1)) { cluster in
      let client = cluster.processes.add(
        "clients", executable: TestFiles.python ?? "",
        arguments: [TestFiles.peer("clients.py"), cluster.router.http, cluster.router.grpc])
      try client.start()
      #expect(try await client.waitForExitCode() == 0, "\(client.log)")
      // The client that hung up must not keep its 2,000 tokens running.
      try await cluster.expectNoBlocksInUse()
    }
  }

  @Test func curlWorks() async throws {
    guard let curl = ClusterConfiguration.find("curl") else { return }
    try await LocalProcesses.run { processes in
      let server = try await processes.serve()
      let client = processes.add(
        "curl", executable: curl,
        arguments: [
          "--silent", "--show-error", "--fail", "--no-buffer", "http://\(server.http)/v1/completions",
          "--header", "Content-Type: application/json", "--data",
          #"{"prompt": "Once upon a time", "max_tokens": 8, "temperature": 0, "stream": true}"#,
        ])
      try client.start()
      #expect(try await client.waitForExitCode() == 0, "\(client.log)")
      #expect(client.log.hasPrefix("data: {") && client.log.contains("data: [DONE]"))
    }
  }
}
