import OpenAIAPI
import Routing
import ServingTypes
import Testing

@Suite(.timeLimit(.minutes(3))) struct DisconnectTests {
  private static let endless: ScriptedRouter.Script = { _, sink in
    while true {
      try await sink.send(GenerationUpdate(outputs: [SampleOutput(sample: 0, text: "more ")]))
      await Task.yield()
    }
  }

  private static let silent: ScriptedRouter.Script = { _, sink in
    await sink.waitForCancellation()
    throw ServingError(.cancelled, "gone")
  }

  private func waitUntil(_ condition: () -> Bool) async throws {
    while !condition() { try await Task.sleep(for: .milliseconds(2)) }
  }

  @Test func closingAStreamCancelsItsGeneration() async throws {
    let router = ScriptedRouter(script: Self.endless)
    try await Server.run(router) { server in
      try await Connection.open(to: server.port) { connection in
        try await connection.post("/v1/completions", #"{"prompt":"x","stream":true}"#)
        try await connection.read(until: "more ")
      }
      try await router.waitForCancellations(1)
      try await waitUntil { server.registry.exposition().contains("clients_gone_total{reason=\"disconnected\"} 1") }
      try await waitUntil { server.registry.exposition().contains("http_requests_in_flight 0") }
    }
  }

  @Test(arguments: [true, false])
  func closingBeforeTheFirstTokenCancelsTheGeneration(stream: Bool) async throws {
    let router = ScriptedRouter(script: Self.silent)
    try await Server.run(router) { server in
      try await Connection.open(to: server.port) { connection in
        try await connection.post("/v1/completions", #"{"prompt":["x","y","z"],"stream":\#(stream)}"#)
        try await waitUntil { router.requests.withLock { $0.count } == 3 }
      }
      try await router.waitForCancellations(3)
    }
  }

  @Test func closingWhileTheRouterStillChoosesCancelsTheCall() async throws {
    let wasCancelled = Lock(false)
    let router = ScriptedRouter(
      begin: { _ in
        do {
          try await Task.sleep(for: .seconds(3600))
        } catch {
          wasCancelled.withLock { $0 = true }
          throw error
        }
      }, script: Self.silent)
    try await Server.run(router) { server in
      try await Connection.open(to: server.port) { connection in
        try await connection.post("/v1/completions", #"{"prompt":"x"}"#)
        try await waitUntil { !router.requests.withLock { $0.isEmpty } }
      }
      try await waitUntil { wasCancelled.withLock { $0 } }
    }
  }

  @Test func aClientThatStopsReadingIsCutOff() async throws {
    let long = String(repeating: "y", count: 1 << 20)
    let router = ScriptedRouter { _, sink in
      while true { try await sink.send(GenerationUpdate(outputs: [SampleOutput(sample: 0, text: long)])) }
    }
    let configuration = OpenAIServerConfiguration(
      listen: HTTPListenerConfiguration(writeTimeout: .milliseconds(300)))
    try await Server.run(router, configuration: configuration) { server in
      try await Connection.open(to: server.port) { connection in
        try await connection.post("/v1/completions", #"{"prompt":"x","stream":true}"#)
        try await router.waitForCancellations(1)
        try await waitUntil { server.registry.exposition().contains("clients_gone_total{reason=\"stalled\"} 1") }
      }
    }
  }

  @Test func clientsThatLeaveAtRandomMomentsLeaveNothingBehind() async throws {
    let router = ScriptedRouter(script: Self.endless)
    try await Server.run(router) { server in
      try await withThrowingTaskGroup(of: Void.self) { group in
        for client in 0..<30 {
          group.addTask {
            try await Connection.open(to: server.port) { connection in
              try await connection.post("/v1/completions", #"{"prompt":"x","stream":true}"#)
              if client % 3 != 0 { try await connection.read(until: String(repeating: "more ", count: 1)) }
            }
          }
        }
        try await group.waitForAll()
      }
      // Those that left at once may never have reached the router; whoever did is cancelled.
      try await waitUntil { server.registry.exposition().contains("http_requests_in_flight 0") }
      try await router.waitForCancellations(20)
      try await waitUntil { router.cancelled.withLock { $0 } == router.requests.withLock { $0.count } }
    }
  }
}
