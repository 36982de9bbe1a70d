import DecodeServer
import Directory
import Engine
import RPC
import ServingProtos
import ServingTestKit
import ServingTypes
import Testing

/// Readiness that exercises the path, and liveness by the engine's heartbeat.
@Suite struct SelfTestTests {
  private static func options(_ role: WorkerRole, interval: Duration = .seconds(600)) -> WorkerOptions {
    var options = WorkerOptions(role: role)
    options.selfTest = SelfTestConfiguration(
      interval: interval, retryInterval: .milliseconds(20), timeout: .seconds(60))
    return options
  }

  private static func wait(_ what: Comment, until holds: () -> Bool) async throws {
    for _ in 0..<12_000 where !holds() { try await Task.sleep(for: .milliseconds(5)) }
    #expect(holds(), what)
  }

  @Test(arguments: [WorkerRole.prefill, .decode, .both])
  func aWorkerThatWorksBecomesReadyAndKeepsNothing(role: WorkerRole) async throws {
    try await withWorkers([Self.options(role)]) { workers, _ in
      let worker = workers[0]
      try await Self.wait("never ready") { worker.server.isReady }
      #expect(worker.server.unreadyReason == nil)
      try await worker.expectIdle()
      let statistics = worker.engine.statistics
      #expect(statistics.cachedBlocks == 0, "it left blocks in the cache")
      #expect(await worker.engine.cacheChanges().added.isEmpty)
      #expect(statistics.computedPromptTokens > 0)
      #expect((statistics.generatedTokens > 0) && (role == .decode) == (statistics.blocksSent == 0))
      let text = worker.metrics.exposition()
      #expect(text.contains("baton_self_tests_total{outcome=\"passed\"} 1"))
      #expect(!text.contains("baton_time_to_first_token_seconds_count 1"), "clients' latencies are clients' alone")
      let transfers = worker.server.transfers.snapshot
      #expect(transfers.sentBlocks == 0 && transfers.completedSends == 0 && transfers.failedSends == 0)
    }
  }

  @Test(arguments: [WorkerRole.prefill, .decode])
  func aWorkerThatFailsIsNotReadyUntilItWorksAgain(role: WorkerRole) async throws {
    let directory = InMemoryDirectory()
    let channels = try ChannelPool()
    let broken = ServingError(.internalError, "as the test wants")
    let worker = try Self.options(role, interval: .milliseconds(20)).makeWorker(
      0, channels: channels, directory: directory)
    worker.record.failure = broken
    try await withThrowingTaskGroup(of: Void.self) { group in
      group.addTask { try await worker.server.run() }
      try await Self.wait("no reason") { worker.server.unreadyReason?.contains("as the test wants") == true }
      #expect(!worker.server.isReady && worker.server.isLive)
      #expect(try await directory.workers().allSatisfy(\.isDraining), "nobody shall be sent there")
      worker.record.failure = nil
      try await Self.wait("never ready") { worker.server.isReady }
      worker.record.failure = broken
      try await Self.wait("still ready") { !worker.server.isReady }
      worker.record.failure = nil
      try await Self.wait("not ready again") { worker.server.isReady }
      for _ in 0..<12_000 where try await directory.workers().contains(where: \.isDraining) {
        try await Task.sleep(for: .milliseconds(5))
      }
      group.cancelAll()
    }
    channels.close()
  }

  @Test func aStandstillIsNoLife() async throws {
    var options = WorkerOptions.decode
    options.livenessTimeout = .milliseconds(1500)
    options.cost = SimulatedExecutor.Cost(step: .seconds(6))
    try await withWorkers([options]) { workers, channels in
      #expect(workers[0].server.isLive)
      async let answer = ask(workers[0], decodeRequest(prompt(10), maxTokens: 1), channels)
      try await Self.wait("still alive") { !workers[0].server.isLive }
      try await channels.withClient(of: try ServerAddress(workers[0].server.boundAddress), for: .tokens) { client in
        let health = Grpc_Health_V1_Health.Client(wrapping: client)
        var status = Grpc_Health_V1_HealthCheckResponse.ServingStatus.serving
        for _ in 0..<2000 where status == .serving {
          status = try await health.check(.with { $0.service = HealthService.liveness }).status
          try await Task.sleep(for: .milliseconds(5))
        }
        #expect(status == .notServing)
        let whole = try await health.check(.with { $0.service = "" }).status
        #expect(whole == .serving)
      }
      _ = try await answer
      try await Self.wait("still dead") { workers[0].server.isLive }
    }
  }

  // MARK: The judgement

  @Test func requestsOfClientsReplaceTests() {
    var judge = ReadinessJudge(configuration: SelfTestConfiguration(interval: .seconds(60)))
    var now = ContinuousClock.now
    func isDue(_ count: UInt64) -> Bool { judge.isDue(finishedRequests: count, now: now) }
    #expect(isDue(0) && judge.reason != nil)
    judge.record(.passed, finishedRequests: 1, now: now)
    #expect(judge.reason == nil)
    for count in UInt64(2)..<20 {
      now += .seconds(50)
      #expect(!isDue(count))
    }
    now += .seconds(59)
    #expect(!isDue(19))
    now += .seconds(1)
    #expect(isDue(19))
  }

  @Test func aFailureIsTriedAgainSoonAndNeedsAProof() {
    var judge = ReadinessJudge(configuration: SelfTestConfiguration(interval: .seconds(60), retryInterval: .seconds(1)))
    var now = ContinuousClock.now
    judge.record(.passed, finishedRequests: 1, now: now)
    judge.record(.failed("why"), finishedRequests: 1, now: now)
    #expect(judge.reason == nil, "once is no proof")
    now += .seconds(1)
    let isDueAgain = judge.isDue(finishedRequests: 5, now: now)
    #expect(isDueAgain)
    judge.record(.failed("why"), finishedRequests: 1, now: now)
    #expect(judge.reason == "why")
    now += .seconds(1)
    let isDue = judge.isDue(finishedRequests: 5, now: now)
    #expect(isDue, "an answer under way is no proof after a failure")
    judge.record(.inconclusive, finishedRequests: 5, now: now)
    #expect(judge.reason == "why")
    judge.record(.passed, finishedRequests: 6, now: now)
    judge.record(.inconclusive, finishedRequests: 6, now: now)
    #expect(judge.reason == nil)
  }
}
