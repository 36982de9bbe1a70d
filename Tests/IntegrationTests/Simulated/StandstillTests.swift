import ClusterHarness
import ServingProtos
import ServingTypes
import Testing

/// What a worker's probes say while its engine stands still.
@Suite(.serialized, .enabled(if: TestFiles.baton != nil))
struct StandstillTests {
  /// The first step after a long prompt takes twenty seconds, which nothing before it foretold; a self-test's prompt is short.
  @Test func aStandstillFailsTheProbesUntilItIsOver() async throws {
    try await PacedModel(contextToken: .milliseconds(10)).withFile { model in
      try await LocalProcesses.run { processes in
        let worker = processes.add(
          "decode", role: .decode, executable: TestFiles.baton ?? "",
          arguments: [
            "decode", "--simulate", model, "--listen", "127.0.0.1:0", "--http-listen", "127.0.0.1:0",
            "--liveness-timeout", "1s", "--self-test-interval", "200ms", "--self-test-timeout", "1500ms",
          ])
        try worker.start()
        try await worker.waitUntilReady()
        #expect(try await worker.get("/livez").status == 200)
        #expect(try await worker.get("/readyz").status == 200)
        async let pending = RouterClient.with(worker.grpc) { client in
          try await client.decode(
            .with {
              $0.promptTokens = TokenPrompts.greedy(2000).tokens.ids
              $0.sampling.maxTokens = 2
              $0.sampling.temperature = 0
            })
        }
        try await waitUntil("it is not alive") { try await worker.get("/livez").status == 503 }
        #expect(try await worker.get("/livez").body.contains("stands still"))
        // Two of its own requests have to fail, which takes longer.
        try await waitUntil("it is not ready") { try await worker.get("/readyz").status == 503 }
        #expect(try await worker.get("/readyz").body.contains("self-test failed"))
        #expect(try await worker.get("/livez").status == 503)
        #expect(try await pending.tokens.count == 2)
        try await waitUntil("it is alive again") { try await worker.get("/livez").status == 200 }
        try await waitUntil("it is ready again") { try await worker.get("/readyz").status == 200 }
      }
    }
  }
}
