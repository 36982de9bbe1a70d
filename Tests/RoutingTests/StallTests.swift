import Directory
import Routing
import ServingProtos
import ServingTypes
import Testing

/// Connections that stay open though nobody speaks any more.
struct StallTests {
  private static let quick = RoutingConfiguration.testing {
    $0.streamStallTimeout = .milliseconds(60)
    $0.probeTimeout = .milliseconds(300)
  }

  /// Before the first token, in mid-stream, and before the last word.
  @Test(arguments: [0, 1, 5, 11], [ScriptedWorker.Health.notServing, .silent])
  func aWorkerThatDoesNotAnswerIsLeft(_ messages: Int, _ health: ScriptedWorker.Health) async throws {
    let workers = try ["a", "b"].map { try ScriptedWorker($0, script: [.hang(after: messages)]) }
    for worker in workers { worker.state.withLock { $0.hangingHealth = health } }
    try await RouterHarness.with(workers, configuration: Self.quick) { harness in
      let request = harness.request()
      let answer = try await harness.answer(request)
      try harness.check(answer, request)
      #expect((1...2).contains(answer.route?.migrations ?? 0))
      #expect(!harness.metrics.exposition().contains("baton_router_stalled_streams_total 0"))
      await eventually("the stream is still open") { workers.allSatisfy { $0.state.withLock { $0.active == 0 } } }
    }
  }

  @Test(arguments: [0, 3])
  func aWorkerThatIsOnlySlowIsKept(_ messages: Int) async throws {
    let worker = try ScriptedWorker("a", script: [.pause(after: messages, .milliseconds(900))])
    let other = try ScriptedWorker("b", script: [.pause(after: messages, .milliseconds(900))])
    var configuration = Self.quick
    configuration.probeTimeout = .seconds(30)
    try await RouterHarness.with([worker, other], configuration: configuration) { harness in
      let request = harness.request()
      let answer = try await harness.answer(request)
      try harness.check(answer, request)
      #expect(answer.route?.migrations == 0)
      #expect(worker.state.withLock { $0.probes } + other.state.withLock { $0.probes } > 0, "nobody asked")
    }
  }

  /// The directory may have lost its memory.
  @Test func aLostLeaseAloneProvesNothing() async throws {
    let worker = try ScriptedWorker("a", script: [.pause(after: 2, .milliseconds(600))])
    var configuration = Self.quick
    configuration.probeTimeout = .seconds(30)
    try await RouterHarness.with([worker], configuration: configuration) { harness in
      let request = harness.request()
      async let pending = harness.answer(request)
      await eventually("no tokens") { worker.state.withLock { $0.sent == 2 } }
      try await harness.directory.withdrawLease(worker.record.reference)
      let answer = try await pending
      try harness.check(answer, request)
      #expect(answer.route?.migrations == 0)
    }
  }

  @Test func aWorkerThatWasReplacedIsLeftUnasked() async throws {
    let (old, new) = (try ScriptedWorker("a", script: [.hang(after: 3)]), try ScriptedWorker("a"))
    new.state.withLock { $0.incarnation = 2 }
    try await RouterHarness.with([old], configuration: Self.quick) { harness in
      await withTaskGroup(of: Void.self) { group in
        group.addTask { await new.run() }
        let request = harness.request()
        async let pending = harness.answer(request)
        await eventually("no tokens") { old.state.withLock { $0.sent == 3 } }
        _ = try? await harness.directory.renewLease(new.record, lifetime: .seconds(3600))
        do {
          let answer = try await pending
          try harness.check(answer, request)
          #expect(answer.route?.decode == new.record.reference)
        } catch { Issue.record(error) }
        group.cancelAll()
      }
    }
  }

  /// Its silence is the reader's doing.
  @Test func aSlowReaderIsNoSilentWorker() async throws {
    let worker = try ScriptedWorker("a")
    worker.state.withLock { $0.health = .notServing }
    var configuration = Self.quick
    configuration.updateBacklog = 1
    configuration.streamStallTimeout = .milliseconds(800)
    try await RouterHarness.with([worker], configuration: configuration) { harness in
      let request = harness.request(maxTokens: 400)
      let generation = try await harness.router.generate(request)
      var tokens: [TokenID] = []
      for try await update in generation.updates {
        tokens += update.outputs.flatMap { $0.tokens.map(\.id) }
        if tokens.count == 20 { try await Task.sleep(for: .seconds(2)) }
      }
      #expect(tokens == ScriptedWorker.answer(prompt: generation.head.promptTokens, sample: 0, seed: 7, count: 400))
      #expect(worker.requests.count == 1)
    }
  }

  /// However many streams wait for a worker, one question is under way.
  @Test func aWorkerIsAskedOnceForAllItsStreams() async throws {
    let worker = try ScriptedWorker("a", script: Array(repeating: .pause(after: 0, .milliseconds(500)), count: 20))
    var configuration = Self.quick
    configuration.probeTimeout = .seconds(30)
    try await RouterHarness.with([worker], configuration: configuration) { harness in
      try await withThrowingTaskGroup(of: Void.self) { group in
        for seed in 0..<20 {
          group.addTask {
            let request = harness.request("request \(seed)", seed: UInt64(seed))
            try harness.check(try await harness.answer(request), request)
          }
        }
        try await group.waitForAll()
      }
      let probes = worker.state.withLock { $0.probes }
      #expect((1..<20).contains(probes), "\(probes)")
    }
  }

  @Test func aPrefillWorkerThatFailedIsPassedOver() async throws {
    let decode = try ScriptedWorker("d", role: .decode)
    let prefill = try ["p1", "p2"].map { try ScriptedWorker($0, role: .prefill) }
    try await RouterHarness.with([decode] + prefill, configuration: .testing { $0.suspicion = .seconds(600) }) {
      harness in
      func ask(_ text: String) async throws -> (first: String?, failures: [PrefillFailure]) {
        let answer = try await harness.answer(harness.request(String(repeating: text, count: 40)))
        return (decode.requests.last?.prefillCandidates.first?.id, answer.route?.prefillFailures ?? [])
      }
      let bad = try #require(try await ask("a long prompt ").first)
      let worker = try #require(prefill.first { $0.id.value == bad })
      let failure = PrefillFailure(worker: worker.record.reference, code: .dataLoss, reason: "as scripted")
      decode.state.withLock { $0.prefillFailures = [Baton_V1_PrefillFailure(failure)] }
      #expect(try await ask("another prompt ").failures == [failure])
      decode.state.withLock { $0.prefillFailures = [] }
      for index in 0..<6 { #expect(try await ask("prompt number \(index) ").first != bad) }
      let text = harness.metrics.exposition()
      #expect(text.contains("baton_router_prefill_failures_total{code=\"dataLoss\",worker=\"\(bad)\"} 1"), "\(text)")
    }
  }

  @Test func aPrefillWorkerThatIsFullIsNotSuspected() async throws {
    let decode = try ScriptedWorker("d", role: .decode)
    let prefill = try ScriptedWorker("p", role: .prefill)
    let failure = PrefillFailure(worker: prefill.record.reference, code: .resourceExhausted, reason: "full")
    decode.state.withLock { $0.prefillFailures = [Baton_V1_PrefillFailure(failure)] }
    try await RouterHarness.with([decode, prefill]) { harness in
      _ = try await harness.answer(harness.request(String(repeating: "a long prompt ", count: 40)))
      #expect(harness.router.workers.allSatisfy { !$0.isDoubtful(at: .now) })
    }
  }
}
