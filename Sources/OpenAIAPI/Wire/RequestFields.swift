import ServingTypes

/// The fields that both kinds of completion share.
struct RequestFields: Sendable {
  var model: String
  var sampling: SamplingParameters
  var stream: Bool
  /// `stream_options.include_usage`.
  var includesUsage: Bool
  var tenant: String
  var cacheSalt: String
  /// As vLLM has it: the lowest goes first.
  var priority: Int
  var explains: Bool
  var returnsTokenIDs: Bool
  /// Of each prompt's samples the answer has so many, the likeliest; nil is all.
  var keptSamples: Int?
  /// The log-probabilities are for choosing, not for the answer.
  var hidesLogprobs = false
  /// vLLM's `prompt_logprobs`: so many of the likeliest tokens with each of the prompt's.
  var promptLogprobs: Int?
  /// The prompt's text comes before each choice's own, and its log-probabilities before theirs.
  var echoes = false
  /// `max_tokens` is 0, for which a token is drawn and thrown away.
  var dropsOutput = false

  init(_ body: WireObject) throws(APIError) {
    model = try body.string("model") ?? ""
    stream = try body.boolean("stream") ?? false
    let options = try body.object("stream_options")
    includesUsage = try options?.boolean("include_usage") ?? false
    if options != nil, !stream {
      throw .invalid("stream_options", "stream_options is only allowed when stream is true")
    }
    tenant = try body.string("user") ?? ""
    cacheSalt = try body.string("cache_salt") ?? ""
    priority = Int(try body.integer("priority", as: Int32.self) ?? 0)
    explains = try body.boolean("explain") ?? false
    returnsTokenIDs = try body.boolean("return_token_ids") ?? false
    sampling = try Self.sampling(body)
    promptLogprobs = try Self.promptLogprobs(body, isStreamed: stream)
    sampling.promptLogprobs = promptLogprobs
    try UnsupportedFields.check(body)
  }

  private static func sampling(_ body: WireObject) throws(APIError) -> SamplingParameters {
    var result = SamplingParameters()
    result.temperature = try body.number("temperature") ?? 1
    result.topP = try body.number("top_p") ?? 1
    result.minP = try body.number("min_p") ?? 0
    result.repetitionPenalty = try body.number("repetition_penalty") ?? 1
    result.frequencyPenalty = try body.number("frequency_penalty") ?? 0
    result.presencePenalty = try body.number("presence_penalty") ?? 0
    let topK = try body.integer("top_k") ?? 0
    result.topK = topK == -1 ? 0 : topK
    result.minTokens = try body.integer("min_tokens") ?? 0
    result.maxTokens = try body.integer("max_tokens")
    result.n = try body.integer("n") ?? 1
    guard (1...SamplingParameters.maximumSamples).contains(result.n) else {
      throw .invalid("n", "n is \(result.n); it must be between 1 and \(SamplingParameters.maximumSamples)")
    }
    result.ignoreEOS = try body.boolean("ignore_eos") ?? false
    result.stop = try stop(body)
    for (index, token) in (try body.array("stop_token_ids") ?? []).enumerated() {
      result.stopTokenIDs.append(try WireObject.integer(token, path: "stop_token_ids[\(index)]"))
    }
    result.seed = try seed(body)
    for (name, bias) in try body.object("logit_bias")?.fields ?? [:] {
      guard let token = TokenID(name) else {
        throw .invalid("logit_bias", "logit_bias names '\(name)', which is no token id")
      }
      result.logitBias[token] = try WireObject.number(bias, path: "logit_bias.\(name)")
    }
    return result
  }

  private static func promptLogprobs(_ body: WireObject, isStreamed: Bool) throws(APIError) -> Int? {
    guard let count = try body.integer("prompt_logprobs") else { return nil }
    guard (0...SamplingParameters.maximumLogprobs).contains(count) else {
      throw .invalid(
        "prompt_logprobs", "prompt_logprobs is \(count); it must be between 0 and \(SamplingParameters.maximumLogprobs)"
      )
    }
    if isStreamed { throw .invalid("prompt_logprobs", "prompt_logprobs cannot be streamed") }
    return count
  }

  /// Any 64-bit integer, signed or not.
  private static func seed(_ body: WireObject) throws(APIError) -> UInt64? {
    guard let value = body.value("seed") else { return nil }
    if case .integer(let integer) = value { return UInt64(truncatingIfNeeded: integer) }
    return UInt64(bitPattern: try WireObject.integer(value, as: Int64.self, path: "seed"))
  }

  private static func stop(_ body: WireObject) throws(APIError) -> [String] {
    switch body.value("stop") {
    case nil: return []
    case .string(let text)?: return [text]
    case .array(let elements)?:
      let strings = elements.compactMap { if case .string(let text) = $0 { text } else { nil } }
      if strings.count == elements.count { return strings }
    default: break
    }
    throw .invalid("stop", "stop must be a string or an array of strings")
  }
}
