import Foundation
import OpenAIAPI
import ServingTypes
import Testing

@Suite(.timeLimit(.minutes(2))) struct RefusalTests {
  /// Body, the field at fault, a part of the message.
  static let completions: [(String, String?, String)] = [
    (#"{"prompt":"x","max_tokens":"7"}"#, "max_tokens", "max_tokens must be an integer"),
    (#"{"prompt":"x","max_tokens":1.5}"#, "max_tokens", "max_tokens must be an integer"),
    (#"{"prompt":"x","temperature":"hot"}"#, "temperature", "temperature must be a number"),
    (#"{"prompt":"x","temperature":1e999}"#, nil, "a number is out of range, at line 1"),
    (#"{"prompt":"x","stream":1}"#, "stream", "stream must be true or false"),
    (#"{"prompt":"x","stop":5}"#, "stop", "stop must be a string or an array of strings"),
    (#"{"prompt":"x","stop_token_ids":["a"]}"#, "stop_token_ids[0]", "must be an integer"),
    (#"{"prompt":"x","logit_bias":{"the":1}}"#, "logit_bias", "'the'"),
    (#"{"prompt":"x","logit_bias":[1]}"#, "logit_bias", "must be an object"),
    (#"{"prompt":"x","seed":1.5}"#, "seed", "seed"),
    (#"{"prompt":"x","stream_options":{"include_usage":true}}"#, "stream_options", "only allowed when stream"),
    (#"{"prompt":"x","n":1,"best_of":3,"stream":true}"#, "best_of", "best_of above n"),
    (#"{"prompt":"x","best_of":129}"#, "best_of", "at most 128"),
    (#"{"prompt":"x","suffix":"y"}"#, "suffix", "suffix is not supported"),
    (#"{"prompt":"x","guided_json":{}}"#, "guided_json", "not supported"),
    (#"{"prompt":"x","use_beam_search":true}"#, "use_beam_search", "not supported"),
    (#"{"prompt":"x","prompt_logprobs":21}"#, "prompt_logprobs", "between 0 and 20"),
    (#"{"prompt":"x","prompt_logprobs":-1}"#, "prompt_logprobs", "between 0 and 20"),
    (#"{"prompt":"x","prompt_logprobs":true}"#, "prompt_logprobs", "prompt_logprobs"),
    (#"{"prompt":"x","prompt_logprobs":0,"stream":true}"#, "prompt_logprobs", "cannot be streamed"),
    (
      #"{"prompt":"\#(String(repeating: "x", count: 200_000))","echo":true,"n":100}"#, "echo", "repeat 20000000 bytes"
    ),
    (#"{"model":"smol"}"#, "prompt", "prompt is missing"),
    (#"{"model":5,"prompt":"x"}"#, "model", "model must be a string"),
    (#"{"prompt":{}}"#, "prompt", "prompt must be"),
    (#"{"prompt":[]}"#, "prompt", "empty"),
    (#"{"prompt":[1,"a"]}"#, "prompt[1]", "prompt[1] must be an integer"),
    (#"{"prompt":[[1],[2,true]]}"#, "prompt[1][1]", "prompt[1][1] must be an integer"),
    (#"{"prompt":["a",[1]]}"#, "prompt", "prompt must be"),
    (#"{"prompt":"x","n":0}"#, "n", "n is 0"),
    (#"{"prompt":"x","n":9223372036854775807}"#, "n", "n is"),
    (#"{"prompt":"x","n":92233720368547758070}"#, "n", "n must be an integer"),
    (#"{"prompt":"x","priority":3000000000}"#, "priority", "out of range"),
    (#"{"prompt":"x","top_p":1e200}"#, "top_p", "out of range"),
    (#"{"prompt":[1,99999999999]}"#, "prompt[1]", "out of range"),
    (#"{"prompt":["a","b"],"n":100}"#, "prompt", "200 choices"),
    ("", nil, "a value is missing, at line 1, column 1"),
    ("{\n \"prompt\": \"ü\" \"n\"}", nil, "',' or '}' is expected, at line 2, column 16"),
    (#"{"prompt":"x"} {}"#, nil, "nothing more is expected"),
    (#"{"prompt":01}"#, nil, "',' or '}' is expected"),
    (#"{"prompt":-}"#, nil, "a digit is expected"),
    (#"{"prompt":1.}"#, nil, "a digit is expected"),
    (#"{"prompt":nul}"#, nil, "'null' is expected"),
    (#"{"prompt":"\q"}"#, nil, "an unknown escape"),
    (#"{"prompt":"\u00g0"}"#, nil, "four hexadecimal digits"),
    (#"{"prompt":"\udc00\ud800"}"#, nil, "surrogate"),
    ("{\"prompt\":\"a\nb\"}", nil, "control character"),
    (#"{"prompt":"x"#, nil, "a string is not closed"),
    (#"{prompt:"x"}"#, nil, "a field's name is expected"),
    ("[]", nil, "must be an object"),
    ("\"x\"", nil, "must be an object"),
    (#"{"prompt":"x""#, nil, "not valid JSON"),
    (#"{"prompt":"x",}"#, nil, "not valid JSON"),
    (#"{"prompt":"\ud800"}"#, nil, "half of a surrogate pair"),
    (String(repeating: "[", count: 100_000), nil, "not valid JSON"),
    (#"{"prompt":"x","metadata":"# + String(repeating: #"{"a":"#, count: 50_000), nil, "not valid JSON"),
  ]

  @Test func completionsNameTheFieldAtFault() async throws {
    try await refuse("/v1/completions", Self.completions)
  }

  static let chats: [(String, String?, String)] = [
    (#"{"messages":[{"role":"user","content":"x"}],"echo":true}"#, "echo", "echo is for completions"),
    (#"{"messages":[]}"#, "messages", "empty"),
    (#"{}"#, "messages", "messages is missing"),
    (#"{"messages":"hi"}"#, "messages", "must be an array"),
    (#"{"messages":[{"content":"x"}]}"#, "messages[0].role", "messages[0].role is missing"),
    (#"{"messages":[{"role":"tool","content":"x"}]}"#, "messages[0].role", "'tool'"),
    (#"{"messages":[{"role":"user"}]}"#, "messages[0].content", "missing"),
    (#"{"messages":[{"role":"user","content":"a"},{"role":"user","content":5}]}"#, "messages[1].content", "text parts"),
    (
      #"{"messages":[{"role":"user","content":[{"type":"image_url","image_url":{}}]}]}"#, "messages[0].content[0]",
      "'image_url'"
    ),
    (
      #"{"messages":[{"role":"assistant","content":"x","tool_calls":[{"id":"1"}]}]}"#, "messages[0].tool_calls",
      "not supported"
    ),
    (#"{"messages":[{"role":"user","content":"x"}],"tools":[{"type":"function"}]}"#, "tools", "not supported"),
    (
      #"{"messages":[{"role":"user","content":"x"}],"response_format":{"type":"json_object"}}"#, "response_format",
      "not supported"
    ),
    (#"{"messages":[{"role":"user","content":"x"}],"top_logprobs":3}"#, "top_logprobs", "logprobs to be true"),
    (#"{"messages":[{"role":"user","content":"x"}],"logprobs":true,"top_logprobs":21}"#, "top_logprobs", "21"),
    (#"{"messages":[{"role":"user","content":"x"}],"logprobs":5}"#, "logprobs", "true or false"),
  ]

  @Test func chatsNameTheFieldAtFault() async throws {
    try await refuse("/v1/chat/completions", Self.chats)
  }

  private func refuse(_ path: String, _ table: [(String, String?, String)]) async throws {
    let router = ScriptedRouter(script: ScriptedRouter.say(["x"]))
    try await Server.run(router) { server in
      for (body, param, message) in table {
        let reply = try await server.post(path, body)
        let error = try reply.error
        let shown = body.prefix(100)
        #expect(reply.status == 400, "\(shown)")
        #expect(error["type"] as? String == "invalid_request_error", "\(shown)")
        #expect(error["param"] as? String == param, "\(shown) says \(error)")
        #expect((error["message"] as? String)?.contains(message) == true || message.isEmpty, "\(shown) says \(error)")
        #expect(reply.headers["x-request-id"] != nil)
      }
      #expect(router.requests.withLock { $0.isEmpty }, "nothing refused may reach the router")
    }
  }

  @Test func invalidUTF8IsRefused() async throws {
    try await Server.run(ScriptedRouter(script: ScriptedRouter.say(["x"]))) { server in
      let reply = try await Connection.open(to: server.port) { connection in
        try await connection.post("/v1/completions", Array("{\"prompt\":\"".utf8) + [0xC3, 0x28] + Array("\"}".utf8))
        return try await connection.readReply()
      }
      #expect(reply.status == 400)
      #expect(try reply.error["message"] as? String == "the body is not valid UTF-8")
    }
  }

  @Test func aBodyBeyondTheLimitIsRefusedAndTheConnectionClosed() async throws {
    let router = ScriptedRouter(script: ScriptedRouter.say(["x"]))
    try await Server.run(router, configuration: OpenAIServerConfiguration(maximumBodyBytes: 1000)) { server in
      try await Connection.open(to: server.port) { connection in
        try await connection.post("/v1/completions", String(repeating: "x", count: 5000))
        let reply = try await connection.readReply()
        #expect(reply.status == 413)
        #expect(reply.headers["connection"] == "close")
        try await connection.readToEnd()
        #expect(connection.isAtEnd)
      }
      // Without a length the limit is found while reading.
      try await Connection.open(to: server.port) { connection in
        try await connection.send("POST /v1/completions HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n")
        for _ in 0..<5 { try await connection.send("190\r\n" + String(repeating: "y", count: 400) + "\r\n") }
        try await connection.send("0\r\n\r\n")
        #expect(try await connection.readReply().status == 413)
      }
      #expect(router.requests.withLock { $0.isEmpty })
    }
  }

  @Test func unknownPathsAndMethodsAreRefused() async throws {
    try await Server.run(ScriptedRouter(script: ScriptedRouter.say(["x"]))) { server async throws in
      #expect(try await server.get("/v1/nothing").status == 404)
      #expect(try await server.get("/%ff").status == 404)
      #expect(try await server.get("/v1/completions").status == 405)
      #expect(try await server.post("/metrics", "").status == 405)
      #expect(try await server.post("/v1/models", "").status == 405)
    }
  }

  @Test(arguments: ServingError.Code.allCases)
  func eachErrorOfTheRouterHasItsStatus(code: ServingError.Code) async throws {
    let expected: [ServingError.Code: Int] = [
      .cancelled: 499, .invalidArgument: 400, .deadlineExceeded: 504, .notFound: 404, .permissionDenied: 403,
      .resourceExhausted: 429, .failedPrecondition: 503, .aborted: 503, .unimplemented: 501, .internalError: 500,
      .unavailable: 503, .dataLoss: 500, .unauthenticated: 401,
    ]
    let refusing = ScriptedRouter(
      begin: { _ in throw ServingError(code, "top_k is -5; it must be 0", retryAfter: .milliseconds(2500)) },
      script: ScriptedRouter.say(["x"]))
    // The same error before the first token of a stream, after the answer was opened.
    let failing = ScriptedRouter { _, _ in throw ServingError(code, "failed") }
    try await Server.run(refusing) { server in
      let reply = try await server.complete(#"{"prompt":"x","top_k":-5}"#)
      #expect(reply.status == expected[code])
      #expect(try reply.error["message"] as? String == "top_k is -5; it must be 0")
      if code == .invalidArgument { #expect(try reply.error["param"] as? String == "top_k") }
      if code == .resourceExhausted || code == .unavailable { #expect(reply.headers["retry-after"] == "3") }
    }
    try await Server.run(failing) { server in
      let reply = try await server.complete(#"{"prompt":"x","stream":true}"#)
      #expect(reply.status == expected[code])
      #expect(reply.headers["content-type"] == "application/json")
    }
  }

  @Test func anUnforeseenErrorTellsNothingOfItself() async throws {
    struct Secret: Error { let text = "secret" }
    let router = ScriptedRouter(begin: { _ in throw Secret() }, script: ScriptedRouter.say(["x"]))
    try await Server.run(router) { server in
      let reply = try await server.complete(#"{"prompt":"x"}"#)
      #expect(reply.status == 500)
      #expect(!reply.text.lowercased().contains("secret"))
    }
  }

  @Test func requestsBeyondTheLimitAreRefusedAtOnce() async throws {
    let router = ScriptedRouter { _, sink in
      await sink.waitForCancellation()
      throw ServingError(.cancelled, "gone")
    }
    try await Server.run(router, configuration: OpenAIServerConfiguration(maximumRequests: 1)) { server in
      try await Connection.open(to: server.port) { first in
        try await first.post("/v1/completions", #"{"prompt":"x"}"#)
        while router.requests.withLock({ $0.isEmpty }) { try await Task.sleep(for: .milliseconds(2)) }
        let reply = try await server.complete(#"{"prompt":"y"}"#)
        #expect(reply.status == 429)
        #expect(reply.headers["retry-after"] == "1")
      }
      // The place is free again once the first client has gone.
      try await router.waitForCancellations(1)
      while server.registry.exposition().contains("baton_http_requests_in_flight 1") {
        try await Task.sleep(for: .milliseconds(2))
      }
    }
  }

  @Test func theAPIKeyIsAskedFor() async throws {
    let configuration = OpenAIServerConfiguration(apiKeys: ["sesame", "other"])
    try await Server.run(ScriptedRouter(script: ScriptedRouter.say(["x"])), configuration: configuration) { server in
      for header in [[], ["Authorization: Bearer wrong"], ["Authorization: Bearer sesam"], ["Authorization: sesame"]] {
        let reply = try await server.post("/v1/completions", #"{"prompt":"x"}"#, headers: header)
        #expect(reply.status == 401, "\(header)")
        #expect(reply.headers["www-authenticate"] == "Bearer")
      }
      #expect(try await server.get("/v1/models").status == 401)
      for key in ["sesame", "other"] {
        let reply = try await server.post(
          "/v1/completions", #"{"prompt":"x"}"#, headers: ["Authorization: Bearer \(key)"])
        #expect(reply.status == 200)
      }
      #expect(try await server.get("/livez").status == 200)
    }
  }
}
