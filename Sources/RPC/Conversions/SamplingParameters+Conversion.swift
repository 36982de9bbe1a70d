import ServingProtos
import ServingTypes

extension Baton_V1_SamplingParameters {
  public init(_ parameters: SamplingParameters) {
    self.init()
    temperature = parameters.temperature
    topK = wireCount(parameters.topK)
    topP = parameters.topP
    minP = parameters.minP
    repetitionPenalty = parameters.repetitionPenalty
    frequencyPenalty = parameters.frequencyPenalty
    presencePenalty = parameters.presencePenalty
    for (token, bias) in parameters.logitBias { logitBias[UInt32(bitPattern: token)] = bias }
    if let value = parameters.seed { seed = value }
    if let value = parameters.maxTokens { maxTokens = wireCount(value) }
    minTokens = wireCount(parameters.minTokens)
    stop = parameters.stop
    stopTokenIds = wireTokens(parameters.stopTokenIDs)
    ignoreEos = parameters.ignoreEOS
    if let value = parameters.logprobs { logprobs = wireCount(value) }
    n = wireCount(parameters.n)
    disableSpeculation = !parameters.speculative
    if let value = parameters.promptLogprobs { promptLogprobs = wireCount(value) }
  }
}

extension SamplingParameters {
  /// Absent fields take their defaults. Ranges that depend on the model are for `validate(vocabularySize:)`.
  /// - Throws: `invalidArgument` on an id that is no token id.
  public init(_ message: Baton_V1_SamplingParameters) throws(ServingError) {
    self.init()
    if message.hasTemperature { temperature = message.temperature }
    topK = Int(message.topK)
    if message.hasTopP { topP = message.topP }
    minP = message.minP
    if message.hasRepetitionPenalty { repetitionPenalty = message.repetitionPenalty }
    frequencyPenalty = message.frequencyPenalty
    presencePenalty = message.presencePenalty
    for (token, bias) in message.logitBias { logitBias[try tokenID(token, field: "logit_bias")] = bias }
    if message.hasSeed { seed = message.seed }
    if message.hasMaxTokens { maxTokens = Int(message.maxTokens) }
    minTokens = Int(message.minTokens)
    stop = message.stop
    stopTokenIDs = try tokenIDs(message.stopTokenIds, field: "stop_token_ids")
    ignoreEOS = message.ignoreEos
    if message.hasLogprobs { logprobs = Int(message.logprobs) }
    if message.hasN { n = Int(message.n) }
    speculative = !message.disableSpeculation
    if message.hasPromptLogprobs { promptLogprobs = Int(message.promptLogprobs) }
  }
}
