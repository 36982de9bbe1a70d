import Foundation
import Observability
import Routing
import ServingTypes

/// Answers one completion: opens its generations, follows them, and writes what they say.
struct GenerationHandler: Sendable {
  let backend: InferenceBackend
  let metrics: APIMetrics
  let requestTimeout: Duration?

  func respond(_ call: GenerationCall, _ exchange: HTTPExchange) async throws {
    let arrival = ContinuousClock.now
    let generations = try await open(call, exchange, deadline: requestTimeout.map { arrival + $0 })
    guard let model = generations.first?.head.model else {
      throw APIError.invalid("prompt", "prompt is an empty array")
    }
    let encoder = AnswerEncoder(
      call: call, id: exchange.requestID, created: Int64(Date.now.timeIntervalSince1970), model: model,
      tokenBytes: { token in backend.tokenBytes(model, token) })
    let promptTokens = generations.map(\.head.promptTokens)
    let wantsPromptLogprobs = call.fields.sampling.promptLogprobs != nil
    try call.checkPromptLogprobs(promptTokens: promptTokens.map(\.count))
    var answer = Answer(
      prompts: call.prompts.count, samples: call.fields.sampling.n,
      promptLogprobs: promptTokens.map { wantsPromptLogprobs ? $0.count - 1 : 0 }, keepsText: !call.fields.stream,
      dropsOutput: call.fields.dropsOutput)
    func echo(_ prompt: Int) -> EchoedPrompt? {
      guard call.fields.echoes else { return nil }
      return EchoedPrompt(
        call.prompts[prompt], tokens: promptTokens[prompt], logprobs: answer.promptLogprobs[prompt],
        top: encoder.writesLogprobs ? call.fields.sampling.logprobs : nil, tokenBytes: encoder.tokenBytes)
    }
    var sawToken = false
    func note(_ update: GenerationUpdate) {
      let tokens = update.outputs.reduce(0) { $0 + $1.tokens.count }
      if tokens == 0 { return }
      metrics.tokenRate.record(tokens)
      if !sawToken { metrics.firstToken(route: exchange.path, seconds: (ContinuousClock.now - arrival).inSeconds) }
      sawToken = true
    }
    if !call.fields.stream {
      try await Self.forEachUpdate(of: generations) { prompt, update in
        note(update)
        try answer.accept(update, prompt: prompt)
      }
      try answer.checkComplete()
      if let kept = call.fields.keptSamples { answer.keepLikeliest(kept) }
      let bytes = encoder.answer(
        answer, promptTokens: promptTokens, echoes: call.prompts.indices.compactMap(echo),
        explains: call.fields.explains)
      try await exchange.send(status: 200, type: "application/json", bytes)
      return
    }
    do {
      var bytes: [UInt8] = []
      try await Self.forEachUpdate(of: generations) { prompt, update in
        note(update)
        bytes.removeAll(keepingCapacity: true)
        let opening = !update.outputs.isEmpty && answer.hasUnopenedChoice(prompt: prompt) ? echo(prompt) : nil
        try answer.accept(update, prompt: prompt) { index, choice, output in
          encoder.appendChunks(
            index, &choice, output, promptTokens: promptTokens[prompt], echo: opening, to: &bytes)
        }
        if !bytes.isEmpty { try await write(bytes, to: exchange) }
      }
      try answer.checkComplete()
      bytes.removeAll(keepingCapacity: true)
      if call.fields.explains { encoder.appendExplanationChunk(answer, to: &bytes) }
      if call.fields.includesUsage { encoder.appendUsageChunk(answer.usage, to: &bytes) }
      bytes += AnswerEncoder.done
      try await write(bytes, to: exchange)
      try await exchange.finish()
    } catch let abandonment as HTTPListener.Abandonment {
      throw abandonment
    } catch {
      try Task.checkCancellation()
      guard exchange.status != nil else { throw error }
      try await exchange.write(Array("data: ".utf8) + APIError(error).json + Array("\n\n".utf8))
      try await exchange.finish(closing: true)
    }
  }

  /// The first event brings the head with it: until then an error can still have its own status.
  private func write(_ bytes: [UInt8], to exchange: HTTPExchange) async throws {
    if exchange.status == nil {
      try await exchange.begin(
        status: 200, headers: [.cacheControl: "no-cache", .accelBuffering: "no"],
        type: "text/event-stream; charset=utf-8")
    }
    try await exchange.write(bytes)
  }

  /// Begins all prompts' generations at once; when one fails, the others are let go.
  private func open(
    _ call: GenerationCall, _ exchange: HTTPExchange, deadline: ContinuousClock.Instant?
  ) async throws -> [RoutedGeneration] {
    // Two clients may send the same id; inside, each request has one of its own.
    let id =
      exchange.hasClientRequestID
      ? RequestID("\(exchange.requestID)-\(RequestID.random().value.prefix(8))") : exchange.requestID
    let requests = call.requests(id: id, deadline: deadline, trace: exchange.trace)
    if requests.count == 1 { return [try await backend.generate(requests[0])] }
    return try await withThrowingTaskGroup(of: (Int, RoutedGeneration).self) { group in
      for (index, request) in requests.enumerated() {
        group.addTask { (index, try await backend.generate(request)) }
      }
      var opened: [(Int, RoutedGeneration)] = []
      while let next = try await group.next() { opened.append(next) }
      return opened.sorted { $0.0 < $1.0 }.map(\.1)
    }
  }

  /// Calls `body` with each generation's updates as they come, one at a time. A slow `body` holds all of them back.
  private static func forEachUpdate(
    of generations: [RoutedGeneration], _ body: (Int, GenerationUpdate) async throws -> Void
  ) async throws {
    if generations.count == 1 {
      for try await update in generations[0].updates { try await body(0, update) }
      return
    }
    try await withThrowingTaskGroup(of: (Int, GenerationUpdate?).self) { group in
      let sequences = generations.map(\.updates)
      @Sendable func next(_ index: Int) async throws -> (Int, GenerationUpdate?) {
        var iterator = sequences[index].makeAsyncIterator()
        return (index, try await iterator.next())
      }
      for index in sequences.indices { group.addTask { try await next(index) } }
      while let (index, update) = try await group.next() {
        guard let update else { continue }
        try await body(index, update)
        group.addTask { try await next(index) }
      }
    }
  }
}
