import Observability
import Routing
import ServingTypes

/// Writes OpenAI's answers, as a stream of chunks or whole, as UTF-8 JSON.
///
/// What is the same in all chunks is encoded once; a chunk copies it and appends the new text.
struct AnswerEncoder: Sendable {
  let kind: GenerationCall.Kind
  let writesLogprobs: Bool
  let writesTokenIDs: Bool
  /// vLLM's `prompt_logprobs`.
  let promptLogprobs: Int?
  /// The bytes that a token stands for.
  let tokenBytes: @Sendable (TokenID) -> [UInt8]
  private let chunkHead: [UInt8]
  private let chunkTail: [UInt8]
  private let answerHead: [UInt8]

  static let done = Array("data: [DONE]\n\n".utf8)

  /// - Parameter created: Unix seconds.
  init(
    call: GenerationCall, id: RequestID, created: Int64, model: String,
    tokenBytes: @escaping @Sendable (TokenID) -> [UInt8]
  ) {
    kind = call.kind
    writesLogprobs = call.fields.sampling.logprobs != nil && !call.fields.hidesLogprobs
    writesTokenIDs = call.fields.returnsTokenIDs
    promptLogprobs = call.fields.promptLogprobs
    self.tokenBytes = tokenBytes
    func head(_ object: String) -> [UInt8] {
      var bytes = Array("{\"id\":".utf8)
      JSONText.append((call.kind == .chat ? "chatcmpl-" : "cmpl-") + id.value, to: &bytes)
      bytes.append(contentsOf: ",\"object\":\"\(object)\",\"created\":\(created),\"model\":".utf8)
      JSONText.append(model, to: &bytes)
      bytes.append(contentsOf: ",\"choices\":[".utf8)
      return bytes
    }
    chunkHead = Array("data: ".utf8) + head(kind == .chat ? "chat.completion.chunk" : "text_completion")
    chunkTail = Array((call.fields.includesUsage ? ",\"usage\":null}\n\n" : "}\n\n").utf8)
    answerHead = head(kind == .chat ? "chat.completion" : "text_completion")
  }

  // MARK: Streams

  /// Appends the events for new output of a choice, if there is anything to tell.
  ///
  /// - Parameter echo: what comes before the choice's first output.
  func appendChunks(
    _ index: Int, _ choice: inout Choice, _ output: SampleOutput, promptTokens: [TokenID], echo: EchoedPrompt? = nil,
    to bytes: inout [UInt8]
  ) {
    let isFirst = !choice.isOpened
    choice.isOpened = true
    if isFirst, let echo { appendEchoChunk(index, &choice, echo, to: &bytes) }
    if isFirst, kind == .chat { appendRoleChunk(index, promptTokens: promptTokens, to: &bytes) }
    let tellsTokens = (writesLogprobs || writesTokenIDs) && !output.tokens.isEmpty
    guard !output.text.isEmpty || output.finish != nil || tellsTokens else { return }
    bytes.append(contentsOf: chunkHead)
    bytes.append(contentsOf: "{\"index\":\(index),".utf8)
    switch kind {
    case .completion:
      bytes.append(contentsOf: "\"text\":".utf8)
      JSONText.append(output.text, to: &bytes)
    case .chat:
      bytes.append(contentsOf: "\"delta\":{".utf8)
      if !output.text.isEmpty {
        bytes.append(contentsOf: "\"content\":".utf8)
        JSONText.append(output.text, to: &bytes)
      }
      bytes.append(UInt8(ascii: "}"))
    }
    appendLogprobs(output.tokens, offset: &choice.textOffset, to: &bytes)
    appendFinish(output.finish, to: &bytes)
    if writesTokenIDs {
      appendIDs("token_ids", output.tokens.map(\.id), to: &bytes)
      if isFirst, kind == .completion { appendIDs("prompt_token_ids", promptTokens, to: &bytes) }
    }
    bytes.append(contentsOf: "}]".utf8)
    bytes.append(contentsOf: chunkTail)
  }

  private func appendRoleChunk(_ index: Int, promptTokens: [TokenID], to bytes: inout [UInt8]) {
    bytes.append(contentsOf: chunkHead)
    bytes.append(contentsOf: "{\"index\":\(index),\"delta\":{\"role\":\"assistant\",\"content\":\"\"}".utf8)
    bytes.append(contentsOf: ",\"logprobs\":null,\"finish_reason\":null}]".utf8)
    if writesTokenIDs { appendIDs("prompt_token_ids", promptTokens, to: &bytes) }
    bytes.append(contentsOf: chunkTail)
  }

  private func appendEchoChunk(
    _ index: Int, _ choice: inout Choice, _ echo: EchoedPrompt, to bytes: inout [UInt8]
  ) {
    bytes.append(contentsOf: chunkHead)
    bytes.append(contentsOf: "{\"index\":\(index),\"text\":".utf8)
    JSONText.append(echo.text, to: &bytes)
    appendLogprobs(echo.tokens, offset: &choice.textOffset, to: &bytes)
    appendFinish(nil, to: &bytes)
    bytes.append(contentsOf: "}]".utf8)
    bytes.append(contentsOf: chunkTail)
  }

  func appendUsageChunk(_ usage: GenerationUsage, to bytes: inout [UInt8]) {
    bytes.append(contentsOf: chunkHead)
    bytes.append(UInt8(ascii: "]"))
    appendUsage(usage, to: &bytes)
    bytes.append(contentsOf: "}\n\n".utf8)
  }

  func appendExplanationChunk(_ answer: Answer, to bytes: inout [UInt8]) {
    bytes.append(contentsOf: chunkHead)
    bytes.append(UInt8(ascii: "]"))
    ExplanationEncoder.append(answer.explanations, to: &bytes)
    bytes.append(contentsOf: chunkTail)
  }

  // MARK: Whole answers

  /// - Parameter echoes: by prompt, what comes before its choices' own text; empty where nothing does.
  func answer(
    _ answer: Answer, promptTokens: [[TokenID]], echoes: [EchoedPrompt] = [], explains: Bool
  ) -> [UInt8] {
    var bytes = answerHead
    for (index, choice) in answer.choices.enumerated() {
      if index > 0 { bytes.append(UInt8(ascii: ",")) }
      bytes.append(contentsOf: "{\"index\":\(index),".utf8)
      let prompt = index * promptTokens.count / answer.choices.count
      let echo = echoes.isEmpty ? nil : echoes[prompt]
      switch kind {
      case .completion:
        bytes.append(contentsOf: "\"text\":".utf8)
        JSONText.append((echo?.text ?? "") + choice.text, to: &bytes)
      case .chat:
        bytes.append(contentsOf: "\"message\":{\"role\":\"assistant\",\"content\":".utf8)
        JSONText.append(choice.text, to: &bytes)
        bytes.append(contentsOf: ",\"refusal\":null}".utf8)
      }
      var offset = 0
      appendLogprobs((echo?.tokens ?? []) + choice.tokens, offset: &offset, to: &bytes)
      appendFinish(choice.finish, to: &bytes)
      if writesTokenIDs {
        appendIDs("token_ids", choice.tokens.map(\.id), to: &bytes)
        if kind == .completion { appendIDs("prompt_token_ids", promptTokens[prompt], to: &bytes) }
      }
      if kind == .completion { appendPromptLogprobs(answer.promptLogprobs[prompt], to: &bytes) }
      bytes.append(UInt8(ascii: "}"))
    }
    bytes.append(UInt8(ascii: "]"))
    if kind == .chat, let logprobs = answer.promptLogprobs.first { appendPromptLogprobs(logprobs, to: &bytes) }
    if writesTokenIDs, kind == .chat, let tokens = promptTokens.first {
      appendIDs("prompt_token_ids", tokens, to: &bytes)
    }
    appendUsage(answer.usage, to: &bytes)
    if explains { ExplanationEncoder.append(answer.explanations, to: &bytes) }
    bytes.append(contentsOf: "}\n".utf8)
    return bytes
  }

  // MARK: Parts

  private func appendFinish(_ finish: FinishReason?, to bytes: inout [UInt8]) {
    bytes.append(contentsOf: ",\"finish_reason\":".utf8)
    bytes.append(contentsOf: (finish.map { "\"\($0.rawValue)\"" } ?? "null").utf8)
  }

  private func appendUsage(_ usage: GenerationUsage, to bytes: inout [UInt8]) {
    let counts =
      "\"prompt_tokens\":\(usage.promptTokens),\"completion_tokens\":\(usage.completionTokens)"
      + ",\"total_tokens\":\(usage.promptTokens + usage.completionTokens)"
    bytes.append(
      contentsOf: ",\"usage\":{\(counts),\"prompt_tokens_details\":{\"cached_tokens\":\(usage.cachedTokens)}}".utf8)
  }

  private func appendIDs(_ name: String, _ tokens: [TokenID], to bytes: inout [UInt8]) {
    bytes.append(contentsOf: ",\"\(name)\":[".utf8)
    for (index, token) in tokens.enumerated() {
      if index > 0 { bytes.append(UInt8(ascii: ",")) }
      JSONText.append(Int(token), to: &bytes)
    }
    bytes.append(UInt8(ascii: "]"))
  }

  private func appendPromptLogprobs(_ tokens: [GeneratedToken], to bytes: inout [UInt8]) {
    guard let promptLogprobs else { return }
    PromptLogprobsEncoder(tokenBytes: tokenBytes).append(tokens, count: promptLogprobs, to: &bytes)
  }

  private func appendLogprobs(_ tokens: [GeneratedToken], offset: inout Int, to bytes: inout [UInt8]) {
    bytes.append(contentsOf: ",\"logprobs\":".utf8)
    guard writesLogprobs, !tokens.isEmpty else {
      bytes.append(contentsOf: "null".utf8)
      return
    }
    switch kind {
    case .completion:
      CompletionLogprobsEncoder(tokenBytes: tokenBytes).append(tokens, offset: &offset, to: &bytes)
    case .chat: ChatLogprobsEncoder(tokenBytes: tokenBytes).append(tokens, to: &bytes)
    }
  }
}
