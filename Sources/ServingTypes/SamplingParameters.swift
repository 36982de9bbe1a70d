/// How tokens are drawn and when a sequence ends. Names and meaning follow vLLM and OpenAI's API.
public struct SamplingParameters: Hashable, Sendable {
  /// 0 is greedy: the arg max, ties to the lowest token id.
  public var temperature: Float
  /// Keep the k most likely tokens; 0 keeps all.
  public var topK: Int
  /// Keep the smallest set of tokens whose probability reaches this.
  public var topP: Float
  /// Drop tokens less likely than this share of the most likely one.
  public var minP: Float
  /// Divides positive and multiplies negative logits of tokens seen in prompt or output; 1 is off (CTRL, 2019).
  public var repetitionPenalty: Float
  public var frequencyPenalty: Float
  public var presencePenalty: Float
  public var logitBias: [TokenID: Float]
  /// The router assigns one where the client gives none, so that every worker draws the same tokens.
  public var seed: UInt64?
  /// New tokens at most; nil means up to the model's context.
  public var maxTokens: Int?
  public var minTokens: Int
  public var stop: [String]
  public var stopTokenIDs: [TokenID]
  public var ignoreEOS: Bool
  /// Log-probabilities of this many most likely tokens with each token; nil reports none, 0 only the chosen token's.
  public var logprobs: Int?
  /// As `logprobs`, for the prompt's own tokens; the prompt is then computed whatever is cached of it.
  public var promptLogprobs: Int?
  /// Parallel samples of one prompt.
  public var n: Int
  /// Whether the decode worker may speculate; the tokens are the same either way.
  public var speculative: Bool

  public static let maximumLogprobs = 20
  public static let maximumSamples = 128
  public static let maximumStopStrings = 16
  /// Entries of `logitBias` and of `stopTokenIDs` each: both are walked for every token.
  public static let maximumTokenEntries = 1024

  public init(
    temperature: Float = 1, topK: Int = 0, topP: Float = 1, minP: Float = 0, repetitionPenalty: Float = 1,
    frequencyPenalty: Float = 0, presencePenalty: Float = 0, logitBias: [TokenID: Float] = [:], seed: UInt64? = nil,
    maxTokens: Int? = nil, minTokens: Int = 0, stop: [String] = [], stopTokenIDs: [TokenID] = [],
    ignoreEOS: Bool = false, logprobs: Int? = nil, promptLogprobs: Int? = nil, n: Int = 1, speculative: Bool = true
  ) {
    self.temperature = temperature
    self.topK = topK
    self.topP = topP
    self.minP = minP
    self.repetitionPenalty = repetitionPenalty
    self.frequencyPenalty = frequencyPenalty
    self.presencePenalty = presencePenalty
    self.logitBias = logitBias
    self.seed = seed
    self.maxTokens = maxTokens
    self.minTokens = minTokens
    self.stop = stop
    self.stopTokenIDs = stopTokenIDs
    self.ignoreEOS = ignoreEOS
    self.logprobs = logprobs
    self.promptLogprobs = promptLogprobs
    self.n = n
    self.speculative = speculative
  }

  /// Checks each field's range; a range test written so that NaN fails it.
  public func validate(vocabularySize: Int) throws(ServingError) {
    func require(_ holds: Bool, _ message: @autoclosure () -> String) throws(ServingError) {
      if !holds { throw ServingError(.invalidArgument, message()) }
    }
    try require(temperature >= 0 && temperature <= 100, "temperature is \(temperature); it must be between 0 and 100")
    try require(topK >= 0, "top_k is \(topK); it must be 0 (off) or more")
    try require(topP > 0 && topP <= 1, "top_p is \(topP); it must be above 0 and at most 1")
    try require(minP >= 0 && minP <= 1, "min_p is \(minP); it must be between 0 and 1")
    try require(
      repetitionPenalty > 0 && repetitionPenalty <= 100,
      "repetition_penalty is \(repetitionPenalty); it must be above 0 and at most 100")
    try require(
      abs(frequencyPenalty) <= 2, "frequency_penalty is \(frequencyPenalty); it must be between -2 and 2")
    try require(abs(presencePenalty) <= 2, "presence_penalty is \(presencePenalty); it must be between -2 and 2")
    try require(
      logitBias.count <= Self.maximumTokenEntries,
      "logit_bias has \(logitBias.count) entries; at most \(Self.maximumTokenEntries)")
    try require(
      stopTokenIDs.count <= Self.maximumTokenEntries,
      "stop_token_ids has \(stopTokenIDs.count) entries; at most \(Self.maximumTokenEntries)")
    for (token, bias) in logitBias {
      try require(
        token >= 0 && Int(token) < vocabularySize,
        "logit_bias names token \(token); the vocabulary has \(vocabularySize) tokens")
      try require(abs(bias) <= 100, "logit_bias of token \(token) is \(bias); it must be between -100 and 100")
    }
    if let maxTokens { try require(maxTokens >= 1, "max_tokens is \(maxTokens); it must be at least 1") }
    try require(minTokens >= 0, "min_tokens is \(minTokens); it must be 0 or more")
    try require(
      minTokens <= maxTokens ?? Int.max, "min_tokens is \(minTokens); it must not exceed max_tokens")
    try require(
      stop.count <= Self.maximumStopStrings, "stop has \(stop.count) strings; at most \(Self.maximumStopStrings)")
    try require(!stop.contains(""), "stop contains an empty string")
    for token in stopTokenIDs {
      try require(
        token >= 0 && Int(token) < vocabularySize,
        "stop_token_ids names token \(token); the vocabulary has \(vocabularySize) tokens")
    }
    if let logprobs {
      try require(
        logprobs >= 0 && logprobs <= Self.maximumLogprobs,
        "logprobs is \(logprobs); it must be between 0 and \(Self.maximumLogprobs)")
    }
    if let promptLogprobs {
      try require(
        promptLogprobs >= 0 && promptLogprobs <= Self.maximumLogprobs,
        "prompt_logprobs is \(promptLogprobs); it must be between 0 and \(Self.maximumLogprobs)")
    }
    try require(n >= 1 && n <= Self.maximumSamples, "n is \(n); it must be between 1 and \(Self.maximumSamples)")
  }
}
