import OpenAIAPI
import Routing
import ServingTypes
import Testing

/// The bodies of all requests together are bounded, whatever each of them may have.
@Suite(.timeLimit(.minutes(2))) struct BodyBudgetTests {
  private static func body(_ bytes: Int) -> String {
    let frame = #"{"prompt":""}"#
    return #"{"prompt":"\#(String(repeating: "x", count: bytes - frame.utf8.count))"}"#
  }

  @Test func aFullBudgetRefusesAndRecovers() async throws {
    let router = ScriptedRouter(bodyBytes: 1000) { _, sink in
      await sink.waitForCancellation()
      throw ServingError(.cancelled, "gone")
    }
    try await Server.run(router) { server in
      try await Connection.open(to: server.port) { first in
        try await first.post("/v1/completions", Self.body(600))
        while router.requests.withLock({ $0.isEmpty }) { try await Task.sleep(for: .milliseconds(2)) }
        #expect(router.bodies.used == 600)
        let reply = try await server.complete(Self.body(401))
        #expect(reply.status == 429)
        #expect(reply.headers["retry-after"] == "1")
        #expect(reply.headers["connection"] == "close", "a body that is not read ends its connection")
        #expect(router.requests.withLock { $0.count } == 1)
      }
      try await router.waitForCancellations(1)
      while router.bodies.used > 0 { try await Task.sleep(for: .milliseconds(2)) }
      try await Connection.open(to: server.port) { next in
        try await next.post("/v1/completions", Self.body(1000))
        while router.requests.withLock({ $0.count < 2 }) { try await Task.sleep(for: .milliseconds(2)) }
      }
      try await router.waitForCancellations(2)
    }
  }

  /// The size of such a body is not known before.
  @Test func aBodyInChunksIsCountedAsItComes() async throws {
    let router = ScriptedRouter(bodyBytes: 1000, script: ScriptedRouter.say(["x"]))
    try await Server.run(router) { server in
      for (bytes, status) in [(1500, 429), (900, 200)] {
        let reply = try await Connection.open(to: server.port) { connection in
          let lines = ["POST /v1/completions HTTP/1.1", "Host: test", "Transfer-Encoding: chunked"]
          try await connection.send(lines.joined(separator: "\r\n") + "\r\n\r\n")
          let text = Array(Self.body(bytes))
          for start in stride(from: 0, to: text.count, by: 300) {
            let piece = String(text[start..<min(text.count, start + 300)])
            try await connection.send("\(String(piece.utf8.count, radix: 16))\r\n\(piece)\r\n")
          }
          try await connection.send("0\r\n\r\n")
          return try await connection.readReply()
        }
        #expect(reply.status == status)
        while router.bodies.used > 0 { try await Task.sleep(for: .milliseconds(2)) }
      }
    }
  }

  @Test func takingAndGivingBackAddUp() {
    let budget = BodyBudget(limit: 10)
    #expect(budget.take(10) && !budget.take(1) && budget.take(0))
    budget.give(4)
    #expect(budget.take(4) && budget.used == 10)
    #expect(!budget.take(Int.max))
  }
}
