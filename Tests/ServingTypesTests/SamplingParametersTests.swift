import ServingTypes
import Testing

@Suite struct SamplingParametersTests {
  static let outOfRange: [(String, SamplingParameters)] = [
    ("temperature", SamplingParameters(temperature: -0.1)),
    ("temperature", SamplingParameters(temperature: .nan)),
    ("temperature", SamplingParameters(temperature: .infinity)),
    ("top_k", SamplingParameters(topK: -1)),
    ("top_p", SamplingParameters(topP: 0)),
    ("top_p", SamplingParameters(topP: 1.01)),
    ("top_p", SamplingParameters(topP: .nan)),
    ("min_p", SamplingParameters(minP: -0.1)),
    ("min_p", SamplingParameters(minP: .nan)),
    ("repetition_penalty", SamplingParameters(repetitionPenalty: 0)),
    ("repetition_penalty", SamplingParameters(repetitionPenalty: .nan)),
    ("frequency_penalty", SamplingParameters(frequencyPenalty: 2.1)),
    ("presence_penalty", SamplingParameters(presencePenalty: -.infinity)),
    ("logit_bias", SamplingParameters(logitBias: [100: 1])),
    ("logit_bias", SamplingParameters(logitBias: [-1: 1])),
    ("logit_bias", SamplingParameters(logitBias: [1: .nan])),
    ("logit_bias", SamplingParameters(logitBias: Dictionary(uniqueKeysWithValues: (0..<1025).map { ($0, 0) }))),
    ("max_tokens", SamplingParameters(maxTokens: 0)),
    ("min_tokens", SamplingParameters(minTokens: -1)),
    ("min_tokens", SamplingParameters(maxTokens: 3, minTokens: 4)),
    ("stop", SamplingParameters(stop: [String](repeating: "x", count: 17))),
    ("stop", SamplingParameters(stop: [""])),
    ("stop_token_ids", SamplingParameters(stopTokenIDs: [100])),
    ("stop_token_ids", SamplingParameters(stopTokenIDs: [TokenID](repeating: 1, count: 1025))),
    ("logprobs", SamplingParameters(logprobs: 21)),
    ("n", SamplingParameters(n: 0)),
    ("n", SamplingParameters(n: 129)),
  ]

  @Test(arguments: outOfRange)
  func namesTheFieldThatIsOutOfRange(field: String, parameters: SamplingParameters) {
    let error = #expect(throws: ServingError.self) { try parameters.validate(vocabularySize: 100) }
    #expect(error?.code == .invalidArgument)
    #expect(error?.message.hasPrefix(field + " ") == true)
  }

  @Test func takesTheLimitsThemselves() throws {
    try SamplingParameters().validate(vocabularySize: 100)
    try SamplingParameters(
      temperature: 0, topK: 0, topP: 1, minP: 1, repetitionPenalty: 100, frequencyPenalty: -2, presencePenalty: 2,
      logitBias: [0: -100, 99: 100], maxTokens: 1, minTokens: 1, stopTokenIDs: [99], logprobs: 20, n: 128
    ).validate(vocabularySize: 100)
  }
}
