import OpenAIAPI
import Routing
import ServingTypes
import Testing
import Tokenization

@Suite(.timeLimit(.minutes(2))) struct RequestFieldTests {
  private func captured(_ path: String, _ body: String) async throws -> [GenerationRequest] {
    let router = ScriptedRouter(script: ScriptedRouter.say(["x"]))
    return try await Server.run(router) { server in
      let reply = try await server.post(path, body)
      #expect(reply.status == 200, "\(reply.text)")
      return router.requests.withLock { $0 }
    }
  }

  @Test func completionDefaultsAreOpenAIs() async throws {
    let request = try #require(try await captured("/v1/completions", #"{"model":"smol","prompt":"Hi"}"#).first)
    #expect(request.sampling == SamplingParameters(maxTokens: 16))
    #expect(request.model == "smol")
    guard case .text("Hi") = request.prompt else {
      Issue.record("the prompt is \(request.prompt)")
      return
    }
  }

  @Test func everyFieldReachesTheRouter() async throws {
    let body = """
      {"prompt":"Hi","max_tokens":7,"temperature":0.5,"top_p":0.9,"top_k":40,"min_p":0.1,"n":2,"stop":["a","b"],
      "seed":-1,"logprobs":3,"presence_penalty":0.5,"frequency_penalty":-0.5,"repetition_penalty":1.1,
      "logit_bias":{"12":-100,"13":1.5},"user":"ann","ignore_eos":true,"min_tokens":2,"stop_token_ids":[9],
      "cache_salt":"s","priority":-3,"unknown_field":{"a":[1]},"stream":false,"best_of":2,"echo":false,"suffix":null}
      """
    let request = try #require(try await captured("/v1/completions", body).first)
    #expect(
      request.sampling
        == SamplingParameters(
          temperature: 0.5, topK: 40, topP: 0.9, minP: 0.1, repetitionPenalty: 1.1, frequencyPenalty: -0.5,
          presencePenalty: 0.5, logitBias: [12: -100, 13: 1.5], seed: UInt64.max, maxTokens: 7, minTokens: 2,
          stop: ["a", "b"], stopTokenIDs: [9], ignoreEOS: true, logprobs: 3, n: 2))
    #expect(request.tenant == "ann")
    #expect(request.cacheSalt == "s")
    #expect(request.priority == 3, "vLLM serves the lowest first, the router the highest")
    #expect(request.deadline != nil)
  }

  @Test(arguments: [
    (#"{"prompt":"x","stop":"END"}"#, SamplingParameters(maxTokens: 16, stop: ["END"])),
    (#"{"prompt":"x","top_k":-1}"#, SamplingParameters(maxTokens: 16)),
    (
      #"{"prompt":"x","max_tokens":null,"temperature":null,"stop":null,"seed":null}"#, SamplingParameters(maxTokens: 16)
    ),
    (#"{"prompt":"x","seed":18446744073709551615}"#, SamplingParameters(seed: UInt64.max, maxTokens: 16)),
    (#"{"prompt":"x","max_tokens":0,"n":1}"#, SamplingParameters(maxTokens: 0)),
    (#"{"prompt":"x","max_tokens":16.0,"seed":-0.0}"#, SamplingParameters(seed: 0, maxTokens: 16)),
    ("\t{\r\n\"prompt\" : \"x\" , \"max_tokens\":1 ,\"max_tokens\" : 2E0 }\n", SamplingParameters(maxTokens: 2)),
    (#"{"prompt":"x","logprobs":0}"#, SamplingParameters(maxTokens: 16, logprobs: 0)),
    (#"{"prompt":"x","tools":[],"response_format":{"type":"text"}}"#, SamplingParameters(maxTokens: 16)),
  ])
  func unusualFormsOfFields(body: String, sampling: SamplingParameters) async throws {
    #expect(try await captured("/v1/completions", body).first?.sampling == sampling)
  }

  @Test func promptsMayBeTokensAndLists() async throws {
    for (prompt, expected) in [
      ("[1,2,3]", ["[1, 2, 3]"]), (#"["a","b"]"#, ["a", "b"]), ("[[1],[2,3]]", ["[1]", "[2, 3]"]), (#""""#, [""]),
      (#""\ud83c\udf88\u00fc\n\/""#, ["🎈ü\n/"]),
    ] {
      let requests = try await captured("/v1/completions", #"{"prompt":\#(prompt)}"#)
      let prompts = requests.map { request in
        switch request.prompt {
        case .text(let text): text
        case .tokens(let tokens): "\(tokens)"
        case .chat: "chat"
        }
      }
      #expect(prompts.sorted() == expected, "\(prompt)")
    }
  }

  @Test func chatMessagesMayBePartsAndDevelopers() async throws {
    let body = """
      {"messages":[{"role":"developer","content":"Be brief."},
      {"role":"user","name":"ann","content":[{"type":"text","text":"a"},{"type":"text","text":"ü"}]},
      {"role":"assistant","content":"b","tool_calls":null},{"role":"user","content":"c"}],
      "max_tokens":3,"max_completion_tokens":5,"logprobs":true,"top_logprobs":2}
      """
    let request = try #require(try await captured("/v1/chat/completions", body).first)
    guard case .chat(let messages) = request.prompt else {
      Issue.record("the prompt is \(request.prompt)")
      return
    }
    #expect(
      messages == [
        ChatMessage(role: "system", content: "Be brief."), ChatMessage(role: "user", content: "aü"),
        ChatMessage(role: "assistant", content: "b"), ChatMessage(role: "user", content: "c"),
      ])
    #expect(request.sampling.maxTokens == 5)
    #expect(request.sampling.logprobs == 2)
  }

  @Test func chatGeneratesUpToTheContextByDefault() async throws {
    let body = #"{"messages":[{"role":"user","content":"x"}]}"#
    #expect(try await captured("/v1/chat/completions", body).first?.sampling == SamplingParameters())
  }
}
