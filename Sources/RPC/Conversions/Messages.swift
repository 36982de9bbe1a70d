import ServingProtos
import ServingTypes

extension Array where Element == TokenID {
  /// - Throws: `invalidArgument` that names the field when an id does not fit.
  public init(_ ids: [UInt32], field: String) throws(ServingError) {
    self = []
    reserveCapacity(ids.count)
    for id in ids {
      guard let token = TokenID(exactly: id) else {
        throw ServingError(.invalidArgument, "\(field) has the token \(id), which no vocabulary has")
      }
      append(token)
    }
  }
}

extension FinishReason {
  /// Nil when the sample goes on.
  public init?(_ reason: Baton_V1_FinishReason) throws(ServingError) {
    switch reason {
    case .unspecified: return nil
    case .stop: self = .stop
    case .length: self = .length
    case .UNRECOGNIZED(let value): throw ServingError(.dataLoss, "finish_reason has the unknown value \(value)")
    }
  }
}

extension Baton_V1_FinishReason {
  /// A cancelled sample has no finish reason on the wire: its stream ends with a status.
  public init(_ reason: FinishReason?) {
    switch reason {
    case .stop: self = .stop
    case .length: self = .length
    case .cancelled, nil: self = .unspecified
    }
  }
}

extension Baton_V1_Token {
  public init(_ token: GeneratedToken) {
    self.init()
    id = UInt32(bitPattern: token.id)
    if let logprob = token.logprob { self.logprob = logprob }
    top = token.top.map { entry in
      .with {
        $0.token = UInt32(bitPattern: entry.token)
        $0.logprob = entry.logprob
      }
    }
  }
}

extension GeneratedToken {
  /// - Throws: `dataLoss` when an id does not fit.
  public init(_ token: Baton_V1_Token) throws(ServingError) {
    guard let id = TokenID(exactly: token.id) else {
      throw ServingError(.dataLoss, "token.id is \(token.id), which no vocabulary has")
    }
    var top: [TokenLogprob] = []
    for entry in token.top {
      guard let id = TokenID(exactly: entry.token) else {
        throw ServingError(.dataLoss, "token.top has the token \(entry.token), which no vocabulary has")
      }
      top.append(TokenLogprob(token: id, logprob: entry.logprob))
    }
    self.init(id: id, logprob: token.hasLogprob ? token.logprob : nil, top: top)
  }
}

extension SamplingParameters {
  /// Absent fields take their defaults; `validate` checks ranges later, where the vocabulary is known.
  ///
  /// - Throws: `invalidArgument` when a token id does not fit.
  public init(_ message: Baton_V1_SamplingParameters) throws(ServingError) {
    var bias: [TokenID: Float] = [:]
    for (id, value) in message.logitBias {
      guard let token = TokenID(exactly: id) else {
        throw ServingError(.invalidArgument, "logit_bias names token \(id), which no vocabulary has")
      }
      bias[token] = value
    }
    self.init(
      temperature: message.hasTemperature ? message.temperature : 1, topK: Int(message.topK),
      topP: message.hasTopP ? message.topP : 1, minP: message.minP,
      repetitionPenalty: message.hasRepetitionPenalty ? message.repetitionPenalty : 1,
      frequencyPenalty: message.frequencyPenalty, presencePenalty: message.presencePenalty, logitBias: bias,
      seed: message.hasSeed ? message.seed : nil, maxTokens: message.hasMaxTokens ? Int(message.maxTokens) : nil,
      minTokens: Int(message.minTokens), stop: message.stop,
      stopTokenIDs: try [TokenID](message.stopTokenIds, field: "stop_token_ids"), ignoreEOS: message.ignoreEos,
      logprobs: message.hasLogprobs ? Int(message.logprobs) : nil, n: message.hasN ? Int(message.n) : 1,
      speculative: !message.disableSpeculation)
  }
}

extension Baton_V1_SamplingParameters {
  public init(_ sampling: SamplingParameters) {
    self.init()
    temperature = sampling.temperature
    topK = UInt32(clamping: sampling.topK)
    topP = sampling.topP
    minP = sampling.minP
    repetitionPenalty = sampling.repetitionPenalty
    frequencyPenalty = sampling.frequencyPenalty
    presencePenalty = sampling.presencePenalty
    for (token, bias) in sampling.logitBias { logitBias[UInt32(bitPattern: token)] = bias }
    if let seed = sampling.seed { self.seed = seed }
    if let maxTokens = sampling.maxTokens { self.maxTokens = UInt32(clamping: maxTokens) }
    minTokens = UInt32(clamping: sampling.minTokens)
    stop = sampling.stop
    stopTokenIds = sampling.stopTokenIDs.map { UInt32(bitPattern: $0) }
    ignoreEos = sampling.ignoreEOS
    if let logprobs = sampling.logprobs { self.logprobs = UInt32(clamping: logprobs) }
    n = UInt32(clamping: sampling.n)
    disableSpeculation = !sampling.speculative
  }
}
