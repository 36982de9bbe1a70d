import ServingTypes

/// Draws the next token from a row of logits.
///
/// Token = arg max(logit ÷ T + Gumbel(seed, sample index, position, token)) over the tokens that the filters leave, after bias,
/// suppression and penalties; greedy is the arg max alone. Ties go to the lowest id. The token depends on nothing else:
/// neither the batch nor the drafts nor the worker. Used from one thread; keeps its scratch memory from call to call.
public struct Sampler {
  /// Below this a temperature is as good as 0, as in vLLM.
  public static let smallestTemperature: Float = 1e-5

  public let vocabularySize: Int
  private let endOfGenerationTokens: [TokenID]
  private var scratch: [Float] = []
  private var filter = CandidateFilter()

  /// - Parameter endOfGenerationTokens: suppressed until `minTokens` are there, unless the request ignores them anyway.
  public init(vocabularySize: Int, endOfGenerationTokens: [TokenID]) {
    self.vocabularySize = vocabularySize
    self.endOfGenerationTokens = endOfGenerationTokens.filter { $0 >= 0 && Int($0) < vocabularySize }
  }

  /// Draws one token.
  ///
  /// - Parameters:
  ///   - logits: `[vocabularySize]`, as the model computed them.
  ///   - parameters: validated.
  ///   - sampleIndex: which of the request's `n` samples this is.
  ///   - position: that the new token will have in the sequence: prompt tokens + generated tokens before it.
  ///   - context: the tokens before it.
  /// - Returns: the token; log-probabilities, where asked for, are of the logits as given.
  /// - Throws: `internalError` where the logits are not finite: the text would be wrong.
  public mutating func sample(
    logits: UnsafeBufferPointer<Float>, parameters: SamplingParameters, sampleIndex: Int, position: Int,
    context: TokenCounts
  ) throws(ServingError) -> GeneratedToken {
    guard logits.count == vocabularySize, vocabularySize > 0 else {
      throw ServingError(.internalError, "\(logits.count) logits for a vocabulary of \(vocabularySize) tokens")
    }
    let raw = LogitScan.maximum(logits)
    guard raw.allFinite else {
      throw ServingError(.internalError, "the model's logits at position \(position) are not all finite numbers")
    }
    var token: TokenID?
    if Self.changesLogits(parameters, context) {
      change(logits, parameters, context)
      token = scratch.withUnsafeBufferPointer { changed in
        let maximum = LogitScan.maximum(changed).value
        return maximum == -.infinity
          ? nil : Self.draw(changed, maximum, parameters, sampleIndex, position, &filter)
      }
    } else {
      token = Self.draw(logits, raw.value, parameters, sampleIndex, position, &filter)
    }
    guard let token else {
      throw ServingError(
        .invalidArgument, "every token of the vocabulary is suppressed by min_tokens and stop_token_ids")
    }
    guard let count = parameters.logprobs else { return GeneratedToken(id: token) }
    return withLogprobs(token, count, logits, raw.value)
  }

  /// A given token's log-probability, and those of the `count` likeliest.
  ///
  /// - Throws: `internalError` where the logits are not finite.
  public mutating func logprobs(
    of token: TokenID, count: Int, logits: UnsafeBufferPointer<Float>, position: Int
  ) throws(ServingError) -> GeneratedToken {
    let raw = LogitScan.maximum(logits)
    guard raw.allFinite, token >= 0, Int(token) < logits.count else {
      throw ServingError(.internalError, "the model's logits before position \(position) are not all finite numbers")
    }
    return withLogprobs(token, count, logits, raw.value)
  }

  private static func changesLogits(_ parameters: SamplingParameters, _ context: TokenCounts) -> Bool {
    !parameters.logitBias.isEmpty || !context.entries.isEmpty || context.outputCount < parameters.minTokens
  }

  /// Puts the logits with bias, suppression and penalties into `scratch`.
  private mutating func change(
    _ logits: UnsafeBufferPointer<Float>, _ parameters: SamplingParameters, _ context: TokenCounts
  ) {
    scratch.removeAll(keepingCapacity: true)
    scratch.append(contentsOf: logits)
    func isKnown(_ token: TokenID) -> Bool { token >= 0 && Int(token) < vocabularySize }
    for (token, bias) in parameters.logitBias where isKnown(token) { scratch[Int(token)] += bias }
    for (token, entry) in context.entries where isKnown(token) {
      var logit = scratch[Int(token)]
      logit = logit > 0 ? logit / parameters.repetitionPenalty : logit * parameters.repetitionPenalty
      if entry.outputCount > 0 {
        logit -= parameters.frequencyPenalty * Float(entry.outputCount) + parameters.presencePenalty
      }
      scratch[Int(token)] = logit
    }
    guard context.outputCount < parameters.minTokens else { return }
    if !parameters.ignoreEOS { for token in endOfGenerationTokens { scratch[Int(token)] = -.infinity } }
    for token in parameters.stopTokenIDs where isKnown(token) { scratch[Int(token)] = -.infinity }
  }

  private static func draw(
    _ logits: UnsafeBufferPointer<Float>, _ maximum: Float, _ parameters: SamplingParameters, _ sampleIndex: Int,
    _ position: Int, _ filter: inout CandidateFilter
  ) -> TokenID? {
    let best = LogitScan.firstIndex(of: maximum, in: logits).map { TokenID(truncatingIfNeeded: $0) }
    guard parameters.temperature >= smallestTemperature, let best else { return best }
    let noise = GumbelNoise(seed: parameters.seed ?? 0, sampleIndex: sampleIndex, position: position)
    let temperature = Double(parameters.temperature)
    if CandidateFilter.isActive(parameters, vocabularySize: logits.count) {
      filter.apply(parameters, logits: logits, maximum: maximum)
      var winner = (token: best, score: -Double.infinity)
      for token in filter.candidates {
        let score = Double(logits[Int(token)]) / temperature + noise[token]
        if score > winner.score || (score == winner.score && token < winner.token) { winner = (token, score) }
      }
      return winner.token
    }
    return drawFromAll(logits, temperature, noise, likeliest: best)
  }

  /// Starts from the likeliest token, so that for most others a look at the bound of their noise is enough.
  private static func drawFromAll(
    _ logits: UnsafeBufferPointer<Float>, _ temperature: Double, _ noise: GumbelNoise, likeliest: TokenID
  ) -> TokenID {
    var winner = likeliest
    var winningScore = Double(logits[Int(likeliest)]) / temperature + noise[likeliest]
    let inverse = 1 / temperature
    for index in 0..<logits.count {
      let token = TokenID(truncatingIfNeeded: index)
      let bits = noise.bits(token)
      // The slack is far above what multiplying by the inverse instead of dividing can be off.
      guard Double(logits[index]) * inverse + GumbelNoise.upperBound(bits) + 1e-3 >= winningScore else { continue }
      let score = Double(logits[index]) / temperature + GumbelNoise.noise(bits)
      if score > winningScore || (score == winningScore && token < winner) {
        winner = token
        winningScore = score
      }
    }
    return winner
  }

  private mutating func withLogprobs(
    _ token: TokenID, _ count: Int, _ logits: UnsafeBufferPointer<Float>, _ maximum: Float
  ) -> GeneratedToken {
    let total = LogitScan.logSumExp(logits, maximum: maximum)
    func logprob(_ token: TokenID) -> Float { Float(Double(logits[Int(token)]) - total) }
    let top = filter.largest(count, logits).map { TokenLogprob(token: $0, logprob: logprob($0)) }
    return GeneratedToken(id: token, logprob: logprob(token), top: top)
  }
}
