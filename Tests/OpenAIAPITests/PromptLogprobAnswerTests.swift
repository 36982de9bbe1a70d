import Foundation
import OpenAIAPI
import Routing
import ServingTypes
import Testing

/// The prompt in the answer: `echo`, and vLLM's `prompt_logprobs`.
@Suite(.timeLimit(.minutes(2))) struct PromptLogprobAnswerTests {
  /// The prompt's tokens are 5, 6 and 7; two words follow.
  private static let script: ScriptedRouter.Script = { request, sink in
    if request.sampling.promptLogprobs != nil {
      try await sink.send(
        GenerationUpdate(promptLogprobs: [
          GeneratedToken(
            id: 6, logprob: -2,
            top: [TokenLogprob(token: 65, logprob: -0.5), TokenLogprob(token: 66, logprob: -1)])
        ]))
      try await sink.send(
        GenerationUpdate(promptLogprobs: [
          GeneratedToken(
            id: 7, logprob: -1, top: [TokenLogprob(token: 7, logprob: -1), TokenLogprob(token: 67, logprob: -3)])
        ]))
    }
    for sample in 0..<request.sampling.n {
      try await sink.send(
        GenerationUpdate(outputs: [
          SampleOutput(sample: sample, tokens: [GeneratedToken(id: 1000, logprob: -0.25)], text: "w1000")
        ]))
      if request.sampling.maxTokens == 1 {
        try await sink.send(GenerationUpdate(outputs: [SampleOutput(sample: sample, finish: .stop)]))
        continue
      }
      try await sink.send(
        GenerationUpdate(outputs: [
          SampleOutput(
            sample: sample, tokens: [GeneratedToken(id: 1001, logprob: -0.75)], text: "w1001", finish: .stop)
        ]))
    }
    try await sink.send(GenerationUpdate(usage: GenerationUsage(promptTokens: 3, completionTokens: 2)))
  }

  private func choices(_ reply: Reply) throws -> [[String: Any]] {
    try #require(try reply.json["choices"] as? [[String: Any]], "\(reply.text)")
  }

  @Test(arguments: [false, true]) func anEchoComesBeforeTheText(isStreamed: Bool) async throws {
    let router = ScriptedRouter(script: Self.script)
    try await Server.run(router) { server in
      let stream = isStreamed ? #","stream":true"# : ""
      let reply = try await server.complete(#"{"prompt":"abc","echo":true,"n":2"# + stream + "}")
      let all = try isStreamed ? reply.chunks.flatMap { $0["choices"] as? [[String: Any]] ?? [] } : choices(reply)
      for index in 0..<2 {
        let text = all.filter { $0["index"] as? Int == index }.compactMap { $0["text"] as? String }.joined()
        #expect(text == "abcw1000w1001")
      }
      #expect(router.requests.withLock { $0[0].sampling.promptLogprobs } == nil, "nobody asked for them")
      // Token ids stand for their bytes.
      let ids = try choices(try await server.complete(#"{"prompt":[5,6,7],"echo":true}"#))
      #expect(ids[0]["text"] as? String == "\u{5}\u{6}\u{7}w1000w1001")
    }
  }

  @Test(arguments: [false, true]) func anEchoWithLogprobs(isStreamed: Bool) async throws {
    let router = ScriptedRouter(script: Self.script)
    try await Server.run(router) { server in
      let stream = isStreamed ? #","stream":true"# : ""
      let reply = try await server.complete(#"{"prompt":"abc","echo":true,"logprobs":1"# + stream + "}")
      #expect(router.requests.withLock { $0[0].sampling.promptLogprobs } == 1)
      let all = try isStreamed ? reply.chunks.flatMap { $0["choices"] as? [[String: Any]] ?? [] } : choices(reply)
      let parts = all.compactMap { $0["logprobs"] as? [String: Any] }
      func joined(_ name: String) -> [Any] { parts.flatMap { $0[name] as? [Any] ?? [] } }
      #expect(joined("tokens") as? [String] == ["\u{5}", "\u{6}", "\u{7}", "w1000", "w1001"])
      #expect(joined("text_offset") as? [Int] == [0, 1, 2, 3, 8])
      let logprobs = joined("token_logprobs")
      #expect(logprobs.first is NSNull)
      #expect(Array(logprobs.dropFirst()) as? [Double] == [-2, -1, -0.25, -0.75])
      let top = joined("top_logprobs")
      #expect(top.first is NSNull)
      // One of the likeliest, and the token itself.
      #expect(top[1] as? [String: Double] == ["A": -0.5, "\u{6}": -2])
      #expect(top[2] as? [String: Double] == ["\u{7}": -1])
    }
  }

  /// As evaluation harnesses ask: nothing new is wanted.
  @Test func noNewTokensButThePrompts() async throws {
    let router = ScriptedRouter(script: Self.script)
    try await Server.run(router) { server in
      let reply = try await server.complete(#"{"prompt":"abc","echo":true,"logprobs":0,"max_tokens":0}"#)
      let choice = try #require(try choices(reply).first)
      #expect(choice["text"] as? String == "abc")
      #expect(choice["finish_reason"] as? String == "length")
      #expect((choice["logprobs"] as? [String: Any])?["tokens"] as? [String] == ["\u{5}", "\u{6}", "\u{7}"])
      #expect((try reply.json["usage"] as? [String: Any])?["completion_tokens"] as? Int == 0)
      #expect(router.requests.withLock { $0[0].sampling.maxTokens } == 1)
    }
  }

  @Test func vllmsField() async throws {
    let router = ScriptedRouter(script: Self.script)
    try await Server.run(router) { server in
      let completion = try await server.complete(#"{"prompt":"abc","prompt_logprobs":1,"logprobs":0}"#)
      let chat = try await server.chat(#"{"messages":[{"role":"user","content":"x"}],"prompt_logprobs":2}"#)
      let first = try #require(try choices(completion)[0]["prompt_logprobs"] as? [Any])
      let second = try #require(try chat.json["prompt_logprobs"] as? [Any])
      #expect(first[0] is NSNull && first.count == 3 && second.count == 3)
      let one = try #require(first[1] as? [String: [String: Any]])
      #expect(Set(one.keys) == ["6", "65"])
      #expect(one["65"]?["rank"] as? Int == 1 && one["65"]?["decoded_token"] as? String == "A")
      #expect(one["6"]?["logprob"] as? Double == -2 && one["6"]?["rank"] is NSNull)
      let own = try #require(second[2] as? [String: [String: Any]])
      #expect(Set(own.keys) == ["7", "67"] && own["67"]?["rank"] as? Int == 2)
      #expect(try choices(completion)[0]["text"] as? String == "w1000w1001", "no echo was asked for")
      #expect(try choices(chat)[0]["prompt_logprobs"] == nil)
    }
  }

  /// An answer without all that was asked for is an error.
  @Test func neverInPart() async throws {
    let router = ScriptedRouter(script: ScriptedRouter.say(["a"]))
    try await Server.run(router) { server in
      for field in [#""prompt_logprobs":1"#, #""echo":true,"logprobs":1"#] {
        let reply = try await server.complete(#"{"prompt":"abc",\#(field)}"#)
        #expect(reply.status == 500)
      }
    }
  }
}
