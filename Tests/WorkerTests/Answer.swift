import Engine
import GRPCCore
import RPC
import ServingProtos
import ServingTypes

/// What a client got, put together.
struct Answer: Sendable, Equatable {
  var tokens: [[TokenID]]
  var text: [String]
  var finish: [Baton_V1_FinishReason]
  var promptLogprobs: [Baton_V1_Token] = []
  var last = Baton_V1_DecodeResponse()
  var messages = 0

  init(samples: Int) {
    tokens = Array(repeating: [], count: samples)
    text = Array(repeating: "", count: samples)
    finish = Array(repeating: .unspecified, count: samples)
  }

  var route: Baton_V1_Route { last.route }

  mutating func take(_ message: Baton_V1_DecodeResponse) {
    messages += 1
    promptLogprobs += message.promptLogprobs
    for output in message.outputs {
      tokens[Int(output.sample)] += output.tokens.map { TokenID(bitPattern: $0.id) }
      text[Int(output.sample)] += output.text
      if output.finishReason != .unspecified { finish[Int(output.sample)] = output.finishReason }
    }
    last = message
  }
}

/// A prompt of `count` tokens that depends on `seed` alone; equal seeds share their prefixes.
func prompt(_ count: Int, seed: Int = 0) -> [TokenID] {
  (0..<count).map { TokenID(truncatingIfNeeded: ($0 &* 7919 &+ seed &* 104_729 &+ $0 / 3) % 512) }
}

func decodeRequest(
  _ prompt: [TokenID], maxTokens: Int = 24, n: Int = 1, prefill: [Baton_V1_WorkerReference] = [],
  temperature: Float = 0, seed: UInt64 = 7, stop: [String] = []
) -> Baton_V1_DecodeRequest {
  .with {
    $0.requestID = RequestID.random().value
    $0.promptTokens = wireTokens(prompt)
    $0.prefillCandidates = prefill
    $0.sampling = Baton_V1_SamplingParameters(
      SamplingParameters(temperature: temperature, seed: seed, maxTokens: maxTokens, stop: stop, n: n))
  }
}

/// Asks a decode worker, as the router does.
func ask(
  _ worker: TestWorker, _ request: Baton_V1_DecodeRequest, _ channels: ChannelPool, options: CallOptions = .defaults,
  onMessage: @escaping @Sendable (Baton_V1_DecodeResponse) async throws -> Void = { _ in }
) async throws -> Answer {
  let samples = request.sampling.hasN ? Int(request.sampling.n) : 1
  return try await channels.withClient(of: try ServerAddress(worker.server.boundAddress), for: .tokens) { client in
    try await Baton_V1_Decode.Client(wrapping: client).decode(request, options: options) { response in
      var answer = Answer(samples: samples)
      for try await message in response.messages {
        answer.take(message)
        try await onMessage(message)
      }
      return answer
    }
  }
}

/// What one engine alone answers, without any server.
func alone(_ request: Baton_V1_DecodeRequest, options: WorkerOptions = .decode) async throws -> [[TokenID]] {
  let engine = try options.makeEngine()
  engine.start()
  let sampling = try SamplingParameters(request.sampling)
  let handle = try engine.generate(
    EngineRequest(
      prompt: try tokenIDs(request.promptTokens, field: "prompt"),
      generated: try generatedTokens(request.generated, n: sampling.n), sampling: sampling,
      cacheSalt: request.cacheSalt))
  var tokens = Array(repeating: [TokenID](), count: sampling.n)
  for try await event in handle.events {
    if case .tokens(let sample, let new, _) = event { tokens[sample] += new.map(\.id) }
  }
  await engine.stop()
  return tokens
}
