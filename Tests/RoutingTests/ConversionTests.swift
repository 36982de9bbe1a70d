import RPC
import ServingProtos
import ServingTypes
import Testing

struct ConversionTests {
  @Test func samplingParametersSurviveTheTrip() throws {
    let parameters = SamplingParameters(
      temperature: 0, topK: 5, topP: 0.5, minP: 0.1, repetitionPenalty: 1.2, frequencyPenalty: -1, presencePenalty: 2,
      logitBias: [3: -100, 70_000: 1], seed: .max, maxTokens: 9, minTokens: 2, stop: ["a", "ü"], stopTokenIDs: [1, 2],
      ignoreEOS: true, logprobs: 0, promptLogprobs: 0, n: 4, speculative: false)
    #expect(try SamplingParameters(Baton_V1_SamplingParameters(parameters)) == parameters)
    #expect(try SamplingParameters(Baton_V1_SamplingParameters()) == SamplingParameters())
    #expect(try SamplingParameters(Baton_V1_SamplingParameters(SamplingParameters())) == SamplingParameters())
  }

  @Test func idsOutOfRangeAreNamed() throws {
    var message = Baton_V1_SamplingParameters()
    message.stopTokenIds = [1, 0x8000_0000]
    let error = #expect(throws: ServingError.self) { try SamplingParameters(message) }
    #expect(error?.code == .invalidArgument && error?.message.contains("stop_token_ids[1]") == true)
    #expect(throws: ServingError.self) { try GeneratedToken(Baton_V1_Token.with { $0.id = .max }) }
    #expect(try tokenIDs([0, 0x7fff_ffff], field: "x") == [0, .max])
  }

  @Test func tokensReasonsAndReferencesSurviveTheTrip() throws {
    let token = GeneratedToken(id: 7, logprob: -0.5, top: [TokenLogprob(token: 7, logprob: -0.5)])
    #expect(try GeneratedToken(Baton_V1_Token(token)) == token)
    #expect(try GeneratedToken(Baton_V1_Token(GeneratedToken(id: 0))) == GeneratedToken(id: 0))
    for reason in [FinishReason.stop, .length, nil] {
      #expect(try FinishReason.decode(Baton_V1_FinishReason(reason)) == reason)
    }
    #expect(throws: ServingError.self) { try FinishReason.decode(.UNRECOGNIZED(9)) }
    let reference = WorkerReference(id: WorkerID("w"), address: "h:1", incarnation: Incarnation(.max))
    #expect(try WorkerReference(Baton_V1_WorkerReference(reference)) == reference)
    #expect(throws: ServingError.self) { try WorkerReference(Baton_V1_WorkerReference()) }
  }

  @Test func samplesMatchTheirNumber() throws {
    #expect(try generatedTokens(wireSamples([[1], [], [2, 3]]), n: 3) == [[1], [], [2, 3]])
    #expect(try generatedTokens([], n: 3).isEmpty)
    #expect(throws: ServingError.self) { try generatedTokens(wireSamples([[1]]), n: 2) }
  }
}
