import Observability
import OpenAIAPI
import Routing
import ServiceLifecycle
import ServingTypes
import Testing

@Suite(.timeLimit(.minutes(2))) struct MonitoringTests {
  private static func router() -> ScriptedRouter { ScriptedRouter(script: ScriptedRouter.say(["x"])) }

  @Test func modelsAreListed() async throws {
    try await Server.run(Self.router()) { server in
      let list = try await server.get("/v1/models").json
      #expect(list["object"] as? String == "list")
      let models = try #require(list["data"] as? [[String: Any]])
      #expect(models.map { $0["id"] as? String } == ["smol", "org/big"])
      #expect(models[0]["max_model_len"] as? Int == 2048)
      #expect(try await server.get("/v1/models/org/big").json["id"] as? String == "org/big")
      #expect(try await server.get("/v1/models/org%2Fbig?x=1").json["id"] as? String == "org/big")
      let missing = try await server.get("/v1/models/none")
      #expect(missing.status == 404)
      #expect(try missing.error["code"] as? String == "model_not_found")
      #expect((try missing.error["message"] as? String)?.contains("smol, org/big") == true)
    }
  }

  @Test func readinessFollowsTheWorkers() async throws {
    let router = Self.router()
    try await Server.run(router) { server in
      #expect(try await server.get("/readyz").status == 200)
      router.readiness.withLock { $0 = .notReady("no live decode worker") }
      let reply = try await server.get("/readyz")
      #expect(reply.status == 503)
      #expect(reply.text == "no live decode worker\n")
      #expect(try await server.get("/livez").status == 200)
    }
  }

  @Test func livenessIsItsOwn() async throws {
    let router = Self.router()
    try await Server.run(router) { server in
      router.liveness.withLock { $0 = .notReady("standing still") }
      let reply = try await server.get("/livez")
      #expect(reply.status == 503 && reply.text == "standing still\n")
      #expect(try await server.get("/readyz").status == 200)
    }
  }

  @Test func aClientsTraceGoesOn() async throws {
    let router = Self.router()
    try await Server.run(router) { server in
      let header = "traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
      _ = try await server.post("/v1/completions", #"{"prompt":"x"}"#, headers: [header])
      _ = try await server.post("/v1/completions", #"{"prompt":"x"}"#, headers: ["traceparent: nonsense"])
      let traces = router.requests.withLock { $0.map { $0.trace?.traceID } }
      #expect(traces[0] == "4bf92f3577b34da6a3ce929d0e0e4736")
      #expect(traces[1] != nil && traces[1] != traces[0])
    }
  }

  @Test func metricsAreExposed() async throws {
    try await Server.run(Self.router()) { server in
      _ = try await server.complete(#"{"prompt":"x"}"#)
      _ = try await server.get("/random/path")
      let reply = try await server.get("/metrics")
      #expect(reply.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8")
      #expect(reply.text.contains("baton_http_requests_total{path=\"/v1/completions\",status=\"200\"} 1"))
      #expect(reply.text.contains("baton_http_requests_total{path=\"other\",status=\"404\"} 1"))
      #expect(reply.text.contains("baton_http_time_to_first_token_seconds_count{path=\"/v1/completions\"} 1"))
      let date = try #require(reply.headers["date"])
      #expect(date.hasSuffix(" GMT"))
    }
  }

  @Test func theStatusPageShowsWorkersAndEscapesThem() async throws {
    let router = Self.router()
    router.status.withLock {
      $0 = StatusReport(
        workers: [
          StatusReport.Worker(
            id: WorkerID("<script>"), role: .decode, address: "a&b:1", model: "smol", state: "live",
            runningSequences: 3,
            usedBlocks: 7, totalBlocks: 9)
        ], directory: "redis: \"connected\"")
    }
    try await Server.run(router) { server in
      let page = try await server.get("/")
      #expect(page.headers["content-type"] == "text/html; charset=utf-8")
      #expect(page.text.contains("&lt;script&gt;"))
      #expect(!page.text.contains("<script>"))
      #expect(page.text.contains("a&amp;b:1"))
      #expect(page.text.contains("7/9"))
      #expect(page.headers["content-security-policy"]?.contains("default-src 'none'") == true)
    }
  }

  @Test func workersServeTheirOwnMonitoring() async throws {
    let registry = MetricsRegistry()
    registry.gauge("kv_active_blocks", help: "Blocks.").set(3)
    let isReady = Lock(false)
    let server = MonitoringServer(
      listen: HTTPListenerConfiguration(port: 0), registry: registry,
      readiness: { isReady.withLock { $0 } ? .ready : .notReady("loading") }, logger: Server.quietLogger)
    try await withThrowingTaskGroup(of: Void.self) { group in
      group.addTask { try await server.run() }
      defer { group.cancelAll() }
      let client = Server(port: try await server.boundPort.wait(), registry: registry, router: Self.router())
      #expect(try await client.get("/metrics").text.contains("baton_kv_active_blocks 3\n"))
      #expect(try await client.get("/readyz").status == 503)
      isReady.withLock { $0 = true }
      #expect(try await client.get("/readyz").status == 200)
      #expect(try await client.get("/livez").status == 200)
      #expect(try await client.get("/v1/models").status == 404)
      #expect(try await client.post("/metrics", "").status == 405)
    }
  }

  @Test func aTakenPortIsAnErrorThatNamesIt() async throws {
    try await Server.run(Self.router()) { server in
      let second = MonitoringServer(
        listen: HTTPListenerConfiguration(port: server.port), registry: MetricsRegistry(), readiness: { .ready },
        logger: Server.quietLogger)
      let error = await #expect(throws: ServingError.self) { try await second.run() }
      #expect(error?.message.contains("127.0.0.1:\(server.port)") == true)
      await #expect(throws: ServingError.self) { try await second.boundPort.wait() }
    }
  }

  @Test func aGracefulShutdownLetsRunningStreamsEnd() async throws {
    let mayGoOn = AsyncStream<Void>.makeStream()
    let router = ScriptedRouter { _, sink in
      try await sink.send(GenerationUpdate(outputs: [SampleOutput(sample: 0, text: "first")]))
      for await _ in mayGoOn.stream { break }
      try await sink.send(
        GenerationUpdate(outputs: [SampleOutput(sample: 0, text: "last", finish: .stop)], usage: GenerationUsage()))
    }
    let server = OpenAIServer(
      configuration: OpenAIServerConfiguration(listen: HTTPListenerConfiguration(port: 0)), backend: router.backend,
      registry: MetricsRegistry(), logger: Server.quietLogger)
    let services = ServiceGroup(
      configuration: .init(services: [.init(service: server)], logger: Server.quietLogger))
    try await withThrowingTaskGroup(of: Void.self) { group in
      group.addTask { try await services.run() }
      group.addTask { await router.run() }
      let port = try await server.boundPort.wait()
      try await Connection.open(to: port) { connection in
        try await connection.post("/v1/completions", #"{"prompt":"x","stream":true}"#)
        try await connection.read(until: "first")
        await services.triggerGracefulShutdown()
        mayGoOn.continuation.yield()
        let reply = try await connection.readReply()
        #expect(reply.isComplete)
        #expect(reply.events.last == "[DONE]")
        try await connection.readToEnd()
        #expect(connection.isAtEnd)
      }
      try await group.next()
      group.cancelAll()
    }
  }

  @Test func ratesCoverTheLastMinute() {
    let start = ContinuousClock.now
    let rate = RequestRate(start: start)
    rate.record(6, at: start)
    #expect(rate.perSecond(at: start + .seconds(2)) == 2)
    rate.record(60, at: start + .seconds(30))
    #expect(rate.perSecond(at: start + .seconds(59)) == 1.1)
    #expect(rate.perSecond(at: start + .seconds(61)) == 1)
    #expect(rate.perSecond(at: start + .seconds(1000)) == 0)
  }

  @Test func datesAreWrittenAsHTTPHasThem() {
    #expect(HTTPDate.text(784_111_777) == "Sun, 06 Nov 1994 08:49:37 GMT")
  }
}
