import Foundation
import Testing

/// Clients that others wrote, against a real cluster.
@Suite(.serialized, .enabled(if: TestFiles.canRunClusters, "needs baton, SmolLM2 and redis-server"))
struct PeerTests {
  @Test(.enabled(if: TestFiles.python != nil, "needs BATON_TEST_PYTHON with openai and grpcio"))
  func openAIAndReflectionClientsWork() async throws {
    let cluster = try await Cluster.start(prefill: 1, decode: 1)
    defer { cluster.stop() }
    let client = try ServerProcess(
      "clients", TestFiles.python ?? "", [TestFiles.peer("clients.py"), cluster.router.http, cluster.router.grpc],
      in: cluster.folder)
    #expect(try await client.waitForExit() == 0, "\(client.log)")
    // The client that hung up must not keep its 2,000 tokens running.
    try await cluster.expectNoBlocksInUse()
  }

  @Test func curlWorks() async throws {
    guard let curl = TestFiles.find("curl") else { return }
    let cluster = try await Cluster.embedded()
    defer { cluster.stop() }
    let output = cluster.folder.appending(path: "curl.txt").path
    let client = try ServerProcess(
      "curl", curl,
      [
        "--silent", "--show-error", "--fail", "--no-buffer", "--output", output,
        "http://\(cluster.router.http)/v1/completions",
        "--header", "Content-Type: application/json", "--data",
        #"{"prompt": "Once upon a time", "max_tokens": 8, "temperature": 0, "stream": true}"#,
      ], in: cluster.folder)
    #expect(try await client.waitForExit() == 0, "\(client.log)")
    let text = try String(contentsOfFile: output, encoding: .utf8)
    #expect(text.hasPrefix("data: {") && text.contains("data: [DONE]"))
  }
}
