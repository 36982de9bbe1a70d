import ClusterHarness
import ServingProtos
import ServingTypes
import Testing

/// A decode worker's process that is asked to leave in the middle of a stream.
@Suite(.serialized, .enabled(if: TestFiles.baton != nil && TestFiles.redis != nil))
struct ProcessDrainTests {
  @Test func aStreamThatWouldNotEndInTimeGoesOnElsewhere() async throws {
    let request = TokenPrompts.greedy(200, maxTokens: 1200)
    let expected = try await TokenPrompts.answers(to: [request])[0]
    try await PacedModel(step: .milliseconds(10)).withFile { model in
      // Without speculation: the stream takes twelve seconds at least, and the worker gives it up after one and a half.
      let arguments = ["--drain-timeout", "2s", "--no-enable-spec-decode"]
      try await Cluster.run(.simulated(decode: 2, model: model, arguments: arguments)) { cluster in
        let isStreaming = Lock(false)
        async let pending = cluster.router.generate(request) { tokens in
          if tokens >= 8 { isStreaming.withLock { $0 = true } }
          return true
        }
        try await waitUntil("tokens come") { isStreaming.withLock { $0 } }
        var leaving: LocalProcess?
        for worker in cluster.decode where try await worker.statistics().runningSequences > 0 { leaving = worker }
        let worker = try #require(leaving)
        worker.terminate()
        // One that overstays its two seconds is forced to end ten seconds later, with the same code.
        try await worker.waitForExit(timeout: .seconds(10))
        #expect(worker.exitCode == 0)
        let answer = try await pending
        #expect(answer.agrees(with: expected), "\(answer.tokens) is not \(expected.tokens)")
        #expect(answer.route.migrations == 1 && answer.route.decode.id != worker.name)
        let metrics = try await cluster.metrics(of: cluster.router)
        #expect(metrics.value("baton_router_lost_streams_total") == 0, "it was cut, not given up")
        try await cluster.expectNoBlocksInUse()
      }
    }
  }
}
