import Foundation
import OpenAIAPI
import Routing
import ServingTypes
import Testing

@Suite(.timeLimit(.minutes(2))) struct AnswerTests {
  @Test func aWholeCompletion() async throws {
    try await Server.run(ScriptedRouter(script: ScriptedRouter.say(["Hé", "llo \"", "w\n🎈"], finish: .length))) {
      server in
      let reply = try await server.post(
        "/v1/completions", #"{"prompt":"x","model":"smol"}"#, headers: ["X-Request-Id: my-id"])
      #expect(reply.status == 200)
      #expect(reply.headers["content-type"] == "application/json")
      #expect(reply.headers["x-request-id"] == "my-id")
      let json = try reply.json
      #expect(json["id"] as? String == "cmpl-my-id")
      #expect(json["object"] as? String == "text_completion")
      #expect(json["model"] as? String == "smol")
      let choice = try #require((json["choices"] as? [[String: Any]])?.first)
      #expect(choice["text"] as? String == "Héllo \"w\n🎈")
      #expect(choice["index"] as? Int == 0)
      #expect(choice["finish_reason"] as? String == "length")
      #expect(choice["logprobs"] is NSNull)
      let usage = try #require(json["usage"] as? [String: Any])
      #expect(usage["prompt_tokens"] as? Int == 3)
      #expect(usage["completion_tokens"] as? Int == 3)
      #expect(usage["total_tokens"] as? Int == 6)
      #expect((usage["prompt_tokens_details"] as? [String: Any])?["cached_tokens"] as? Int == 2)
    }
  }

  @Test func aWholeChat() async throws {
    try await Server.run(ScriptedRouter(script: ScriptedRouter.say(["a", "b"]))) { server in
      let reply = try await server.chat(#"{"messages":[{"role":"user","content":"x"}],"explain":true}"#)
      let json = try reply.json
      #expect((json["id"] as? String)?.hasPrefix("chatcmpl-") == true)
      #expect(json["object"] as? String == "chat.completion")
      let choice = try #require((json["choices"] as? [[String: Any]])?.first)
      let message = try #require(choice["message"] as? [String: Any])
      #expect(message["role"] as? String == "assistant")
      #expect(message["content"] as? String == "ab")
      #expect(choice["finish_reason"] as? String == "stop")
      let explanation = try #require((json["baton"] as? [[String: Any]])?.first)
      #expect((explanation["route"] as? [String: Any])?["computed_tokens"] as? Int == 1)
      #expect((explanation["timeline"] as? [String: Any])?["first_token_seconds"] as? Double == 0.5)
    }
  }

  /// Of `best_of` samples the n likeliest by token, not by sum; their log-probabilities stay inside unless asked for.
  @Test(arguments: [false, true]) func theBestOfSeveral(asksForLogprobs: Bool) async throws {
    let logprobs: [[Float]] = [[-2], [-0.5, -0.5, -0.5, -0.5], [-1, -0.1], [-3]]
    let router = ScriptedRouter { request, sink in
      guard request.sampling.n == 4, request.sampling.logprobs == 0 else {
        throw ServingError(.internalError, "asked for \(request.sampling)")
      }
      for sample in 0..<4 {
        let tokens = logprobs[sample].map { GeneratedToken(id: 1, logprob: $0) }
        try await sink.send(
          GenerationUpdate(outputs: [SampleOutput(sample: sample, tokens: tokens, text: "\(sample)", finish: .stop)]))
      }
      try await sink.send(GenerationUpdate(usage: GenerationUsage(promptTokens: 1, completionTokens: 8)))
    }
    try await Server.run(router) { server in
      let extra = asksForLogprobs ? #","logprobs":0"# : ""
      let reply = try await server.post("/v1/completions", #"{"prompt":"x","n":2,"best_of":4"# + extra + "}")
      let choices = try #require(try reply.json["choices"] as? [[String: Any]])
      #expect(choices.map { $0["text"] as? String } == ["1", "2"])
      #expect(choices.map { $0["index"] as? Int } == [0, 1])
      #expect(choices.allSatisfy { ($0["logprobs"] is NSNull) == !asksForLogprobs })
    }
  }

  @Test func severalPromptsAndSamplesAreNumberedPromptByPrompt() async throws {
    let router = ScriptedRouter { request, sink in
      guard case .text(let prompt) = request.prompt else { throw ServingError(.internalError, "no text") }
      // The last sample ends first, so that order is not left to chance.
      for sample in (0..<request.sampling.n).reversed() {
        try await sink.send(
          GenerationUpdate(outputs: [SampleOutput(sample: sample, text: "\(prompt)\(sample)", finish: .stop)]))
      }
      try await sink.send(GenerationUpdate(usage: GenerationUsage(promptTokens: 1, completionTokens: 2)))
    }
    try await Server.run(router) { server in
      for stream in [false, true] {
        let reply = try await server.complete(#"{"prompt":["a","b","c"],"n":2,"stream":\#(stream)}"#)
        let choices =
          stream
          ? try reply.chunks.compactMap { ($0["choices"] as? [[String: Any]])?.first }
          : try reply.json["choices"] as? [[String: Any]] ?? []
        let byIndex = Dictionary(uniqueKeysWithValues: choices.map { ($0["index"] as? Int, $0["text"] as? String) })
        #expect(byIndex == [0: "a0", 1: "a1", 2: "b0", 3: "b1", 4: "c0", 5: "c1"])
        if !stream { #expect((try reply.json["usage"] as? [String: Any])?["completion_tokens"] as? Int == 6) }
      }
      let ids = router.requests.withLock { $0.compactMap { $0.id?.value } }
      #expect(Set(ids).count == 6)
    }
  }

  /// Token 0xC3 and token 0xA9 are the halves of é.
  static let withLogprobs: ScriptedRouter.Script = { _, sink in
    try await sink.send(
      GenerationUpdate(outputs: [
        SampleOutput(
          sample: 0,
          tokens: [
            GeneratedToken(
              id: 1000, logprob: -0.5,
              top: [TokenLogprob(token: 1000, logprob: -0.5), TokenLogprob(token: 1001, logprob: -1.5)])
          ], text: "w1000"),
        SampleOutput(sample: 0, tokens: [GeneratedToken(id: 0xC3, logprob: -0.25)]),
      ]))
    try await sink.send(
      GenerationUpdate(outputs: [
        SampleOutput(
          sample: 0, tokens: [GeneratedToken(id: 0xA9, logprob: -.infinity), GeneratedToken(id: 1002, logprob: 0)],
          text: "éw1002", finish: .stop)
      ]))
    try await sink.send(GenerationUpdate(usage: GenerationUsage(promptTokens: 1, completionTokens: 4)))
  }

  @Test func completionLogprobsAreParallelArrays() async throws {
    try await Server.run(ScriptedRouter(script: Self.withLogprobs)) { server in
      let whole = try await server.complete(#"{"prompt":"x","logprobs":2}"#)
      let logprobs = try #require(
        (try whole.json["choices"] as? [[String: Any]])?.first?["logprobs"] as? [String: Any])
      #expect(logprobs["tokens"] as? [String] == ["w1000", "bytes:\\xc3", "bytes:\\xa9", "w1002"])
      #expect(logprobs["token_logprobs"] as? [Double] == [-0.5, -0.25, -9999, 0])
      #expect(logprobs["text_offset"] as? [Int] == [0, 5, 6, 6])
      let top = try #require(logprobs["top_logprobs"] as? [[String: Double]])
      #expect(top[0] == ["w1000": -0.5, "w1001": -1.5])
      #expect(top[3] == ["w1002": 0])
      let stream = try await server.complete(#"{"prompt":"x","logprobs":2,"stream":true}"#)
      let pieces = try stream.chunks.compactMap {
        ($0["choices"] as? [[String: Any]])?.first?["logprobs"] as? [String: Any]
      }
      #expect(pieces.flatMap { $0["tokens"] as? [String] ?? [] } == logprobs["tokens"] as? [String])
      #expect(pieces.flatMap { $0["text_offset"] as? [Int] ?? [] } == [0, 5, 6, 6])
    }
  }

  @Test func chatLogprobsCarryBytes() async throws {
    try await Server.run(ScriptedRouter(script: Self.withLogprobs)) { server in
      let reply = try await server.chat(
        #"{"messages":[{"role":"user","content":"x"}],"logprobs":true,"top_logprobs":2}"#)
      let logprobs = try #require(
        (try reply.json["choices"] as? [[String: Any]])?.first?["logprobs"] as? [String: Any])
      let content = try #require(logprobs["content"] as? [[String: Any]])
      #expect(content.map { $0["token"] as? String } == ["w1000", "\u{FFFD}", "\u{FFFD}", "w1002"])
      #expect(content.map { $0["bytes"] as? [Int] }[1...2] == [[0xC3], [0xA9]])
      let top = try #require(content[0]["top_logprobs"] as? [[String: Any]])
      #expect(top.map { $0["token"] as? String } == ["w1000", "w1001"])
      #expect(top.map { $0["logprob"] as? Double } == [-0.5, -1.5])
    }
  }

  @Test func tokenIDsAreReturnedWhenAskedFor() async throws {
    try await Server.run(ScriptedRouter(script: ScriptedRouter.say(["a", "b"]))) { server in
      let completion = try await server.complete(#"{"prompt":"x","return_token_ids":true}"#)
      let choice = try #require((try completion.json["choices"] as? [[String: Any]])?.first)
      #expect(choice["token_ids"] as? [Int] == [1000, 1001])
      #expect(choice["prompt_token_ids"] as? [Int] == [5, 6, 7])
      let chat = try await server.chat(#"{"messages":[{"role":"user","content":"x"}],"return_token_ids":true}"#)
      #expect(try chat.json["prompt_token_ids"] as? [Int] == [5, 6, 7])
      let stream = try await server.complete(#"{"prompt":"x","return_token_ids":true,"stream":true}"#)
      let pieces = try stream.chunks.compactMap { ($0["choices"] as? [[String: Any]])?.first }
      #expect(pieces.flatMap { $0["token_ids"] as? [Int] ?? [] } == [1000, 1001])
      #expect(pieces[0]["prompt_token_ids"] as? [Int] == [5, 6, 7])
      // What waits for its reader is merged, so that there may be one piece alone.
      #expect(pieces.dropFirst().allSatisfy { $0["prompt_token_ids"] == nil })
    }
  }

  static let incomplete: [[GenerationUpdate]] = [
    [],
    [GenerationUpdate(outputs: [SampleOutput(sample: 0, text: "a")])],
    [GenerationUpdate(outputs: [SampleOutput(sample: 0, text: "a", finish: .stop)])],
    [GenerationUpdate(outputs: [SampleOutput(sample: 0, text: "a")], usage: GenerationUsage(promptTokens: 1))],
    [GenerationUpdate(outputs: [SampleOutput(sample: 1, text: "a", finish: .stop)], usage: GenerationUsage())],
    [
      GenerationUpdate(outputs: [SampleOutput(sample: 0, text: "a", finish: .stop)]),
      GenerationUpdate(outputs: [SampleOutput(sample: 0, text: "b")], usage: GenerationUsage()),
    ],
    [GenerationUpdate(outputs: [SampleOutput(sample: 0, text: "a", finish: .cancelled)], usage: GenerationUsage())],
  ]

  @Test(arguments: incomplete)
  func anAnswerIsNeverGoodUnlessItIsComplete(updates: [GenerationUpdate]) async throws {
    let router = ScriptedRouter { _, sink in
      for update in updates { try await sink.send(update) }
    }
    try await Server.run(router) { server in
      let whole = try await server.complete(#"{"prompt":"x"}"#)
      #expect(whole.status >= 400)
      #expect(try whole.error["message"] is String)
      let stream = try await server.complete(#"{"prompt":"x","stream":true}"#)
      #expect(!stream.events.contains("[DONE]"))
      #expect(stream.text.contains(#"{"error":{"message":"#))
    }
  }
}
