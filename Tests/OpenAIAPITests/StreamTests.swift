import Foundation
import OpenAIAPI
import Routing
import ServingTypes
import Testing

@Suite(.timeLimit(.minutes(3))) struct StreamTests {
  static let pieces = ["Grüße", ", ", "世界", " 🎈\u{200D}👩", "\n\n", "data: x", "\"\\\u{1}", "."]

  @Test func completionEventsHoldTheTextPieceByPiece() async throws {
    try await Server.run(ScriptedRouter(script: ScriptedRouter.say(Self.pieces))) { server in
      let reply = try await server.complete(#"{"prompt":"x","stream":true}"#)
      #expect(reply.status == 200)
      #expect(reply.isComplete)
      #expect(reply.headers["content-type"] == "text/event-stream; charset=utf-8")
      #expect(reply.headers["cache-control"] == "no-cache")
      #expect(reply.events.last == "[DONE]")
      let choices = try reply.chunks.compactMap { ($0["choices"] as? [[String: Any]])?.first }
      #expect(choices.map { $0["text"] as? String } == Self.pieces)
      #expect(choices.map { $0["finish_reason"] as? String } == Array(repeating: nil, count: 7) + ["stop"])
      #expect(try reply.chunks.allSatisfy { $0["object"] as? String == "text_completion" && $0["usage"] == nil })
      #expect(Set(try reply.chunks.map { $0["id"] as? String }).count == 1)
    }
  }

  @Test func chatEventsBeginWithTheRole() async throws {
    try await Server.run(ScriptedRouter(script: ScriptedRouter.say(["a", "", "b"]))) { server in
      let reply = try await server.chat(
        #"""
        {"messages":[{"role":"user","content":"x"}],"stream":true,"stream_options":{"include_usage":true},"explain":true}
        """#)
      let chunks = try reply.chunks
      let deltas = chunks.compactMap { ($0["choices"] as? [[String: Any]])?.first?["delta"] as? [String: Any] }
      #expect(deltas.first?["role"] as? String == "assistant")
      #expect(deltas.compactMap { $0["content"] as? String } == ["", "a", "b"])
      #expect(chunks.dropLast().allSatisfy { $0["usage"] is NSNull })
      #expect((chunks.last?["usage"] as? [String: Any])?["completion_tokens"] as? Int == 3)
      #expect((chunks.last?["choices"] as? [Any])?.isEmpty == true)
      #expect(chunks.contains { $0["baton"] is [Any] })
      #expect(reply.events.last == "[DONE]")
    }
  }

  @Test func tokensAreSentAsTheyCome() async throws {
    let mayGoOn = AsyncStream<Void>.makeStream()
    let router = ScriptedRouter { _, sink in
      try await sink.send(GenerationUpdate(outputs: [SampleOutput(sample: 0, text: "first")]))
      for await _ in mayGoOn.stream { break }
      try await sink.send(
        GenerationUpdate(outputs: [SampleOutput(sample: 0, text: "second", finish: .stop)], usage: GenerationUsage()))
    }
    try await Server.run(router) { server in
      try await Connection.open(to: server.port) { connection in
        try await connection.post("/v1/completions", #"{"prompt":"x","stream":true}"#)
        try await connection.read(until: "first")
        mayGoOn.continuation.yield()
        try await connection.read(until: "[DONE]")
        #expect(String(decoding: connection.received, as: UTF8.self).contains("second"))
      }
    }
  }

  @Test func anErrorInTheMidstOfAStreamIsToldAndTheConnectionClosed() async throws {
    let router = ScriptedRouter { _, sink in
      try await sink.send(GenerationUpdate(outputs: [SampleOutput(sample: 0, text: "begun")]))
      throw ServingError(.unavailable, "every worker is gone")
    }
    try await Server.run(router) { server in
      try await Connection.open(to: server.port) { connection in
        try await connection.post("/v1/completions", #"{"prompt":"x","stream":true}"#)
        let reply = try await connection.readReply()
        #expect(reply.status == 200)
        #expect(reply.text.contains("begun"))
        let last = try #require(try reply.chunks.last?["error"] as? [String: Any])
        #expect(last["message"] as? String == "every worker is gone")
        #expect(last["code"] as? String == "unavailable")
        #expect(!reply.events.contains("[DONE]"))
        try await connection.readToEnd()
        #expect(connection.isAtEnd)
      }
    }
  }

  @Test func oneConnectionServesManyRequests() async throws {
    try await Server.run(ScriptedRouter(script: ScriptedRouter.say(["a", "b"]))) { server in
      try await Connection.open(to: server.port) { connection in
        for round in 0..<6 {
          try await connection.post("/v1/completions", #"{"prompt":"x","stream":\#(round % 2 == 0)}"#)
          let reply = try await connection.readReply()
          #expect(reply.status == 200)
          #expect(reply.isComplete)
        }
        // Two requests at once are answered in their order.
        try await connection.post("/v1/completions", #"{"prompt":"x"}"#, headers: ["X-Request-Id: one"])
        try await connection.post("/v1/completions", #"{"prompt":"x"}"#, headers: ["X-Request-Id: two"])
        #expect(try await connection.readReply().headers["x-request-id"] == "one")
        #expect(try await connection.readReply().headers["x-request-id"] == "two")
      }
    }
  }

  @Test func manyStreamsAtOnceKeepApart() async throws {
    let router = ScriptedRouter { request, sink in
      guard case .text(let prompt) = request.prompt else { throw ServingError(.internalError, "no text") }
      for index in 0..<20 {
        try await sink.send(GenerationUpdate(outputs: [SampleOutput(sample: 0, text: "\(prompt).\(index) ")]))
        await Task.yield()
      }
      try await sink.send(
        GenerationUpdate(outputs: [SampleOutput(sample: 0, finish: .stop)], usage: GenerationUsage()))
    }
    try await Server.run(router) { server in
      try await withThrowingTaskGroup(of: Void.self) { group in
        for client in 0..<60 {
          group.addTask {
            let reply = try await server.complete(#"{"prompt":"p\#(client)","stream":true}"#)
            let text = try reply.chunks.compactMap { ($0["choices"] as? [[String: Any]])?.first?["text"] as? String }
            #expect(text.joined() == (0..<20).map { "p\(client).\($0) " }.joined())
          }
        }
        try await group.waitForAll()
      }
      #expect(
        server.registry.exposition().contains("baton_http_requests_total{path=\"/v1/completions\",status=\"200\"} 60"))
      #expect(server.registry.exposition().contains("baton_http_requests_in_flight 0"))
    }
  }

  @Test func theIDsInsideAreDistinctForOneClientID() async throws {
    let router = ScriptedRouter(script: ScriptedRouter.say(["x"]))
    try await Server.run(router) { server in
      for header in ["X-Request-Id: same", "X-Request-Id: same", "X-Request-Id: not usable"] {
        let reply = try await server.post("/v1/completions", #"{"prompt":"x"}"#, headers: [header])
        #expect((reply.headers["x-request-id"] == "same") == header.hasSuffix("same"))
      }
      let ids = router.requests.withLock { $0.compactMap { $0.id?.value } }
      #expect(Set(ids).count == 3)
      #expect(ids[0].hasPrefix("same-"))
    }
  }

  @Test func aClientThatWaitsForLeaveToSendGetsIt() async throws {
    try await Server.run(ScriptedRouter(script: ScriptedRouter.say(["x"]))) { server in
      try await Connection.open(to: server.port) { connection in
        let body = #"{"prompt":"x"}"#
        try await connection.send(
          "POST /v1/completions HTTP/1.1\r\nHost: t\r\nContent-Length: \(body.utf8.count)\r\nExpect: 100-continue\r\n\r\n"
        )
        #expect(try await connection.readReply().status == 100)
        try await connection.send(body)
        #expect(try await connection.readReply().status == 200)
      }
    }
  }
}
