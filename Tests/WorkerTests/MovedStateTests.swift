import Routing
import ServingTestKit
import ServingTypes
import Testing

/// The state of sampling moves with a request: however often its stream is cut, the client gets what an undisturbed one gives.
@Suite struct MovedStateTests {
  struct Case: Sendable, CustomTestStringConvertible {
    var name: String
    var sampling: SamplingParameters
    /// Takes part of the undisturbed answer's text for a stop string.
    var stops = false

    var testDescription: String { name }
  }

  static let cases: [Case] = [
    Case(name: "greedy", sampling: SamplingParameters(temperature: 0, seed: 7, maxTokens: 60)),
    Case(name: "seeded", sampling: SamplingParameters(temperature: 0.9, topK: 40, topP: 0.95, seed: 11, maxTokens: 60)),
    Case(
      name: "penalties",
      sampling: SamplingParameters(
        temperature: 0.8, repetitionPenalty: 1.3, frequencyPenalty: 0.4, presencePenalty: 0.3, seed: 3, maxTokens: 60)),
    Case(
      name: "greedy penalties",
      sampling: SamplingParameters(
        temperature: 0, repetitionPenalty: 1.5, frequencyPenalty: 0.7, seed: 3, maxTokens: 60)),
    Case(
      name: "min_tokens and stop tokens",
      sampling: SamplingParameters(
        temperature: 0.9, seed: 5, maxTokens: 80, minTokens: 40, stopTokenIDs: Array(0..<128))),
    Case(name: "logprobs", sampling: SamplingParameters(temperature: 0.7, seed: 9, maxTokens: 40, logprobs: 3)),
    Case(
      name: "samples of which some end early",
      sampling: SamplingParameters(
        temperature: 1, seed: 13, maxTokens: 40, stopTokenIDs: Array(0..<24), logprobs: 1, n: 4)),
    Case(name: "stop string", sampling: SamplingParameters(temperature: 0, seed: 7, maxTokens: 120), stops: true),
    Case(
      name: "stop string, min_tokens, samples",
      sampling: SamplingParameters(temperature: 0.9, seed: 21, maxTokens: 50, minTokens: 6, n: 3), stops: true),
  ]

  private static func request(_ test: Case, stop: [String] = []) -> GenerationRequest {
    var sampling = test.sampling
    sampling.stop = stop
    return GenerationRequest(prompt: .tokens(prompt(70)), sampling: sampling, explain: true)
  }

  private static func undisturbed(_ request: GenerationRequest) async throws -> RoutedWorkers.Answer {
    let result = Lock<RoutedWorkers.Answer?>(nil)
    try await RoutedWorkers.with([.decode]) { routed in
      let answer = try await routed.answer(request)
      result.withLock { $0 = answer }
    }
    let answer = try #require(result.withLock { $0 })
    #expect(answer.migrations == 0)
    return answer
  }

  /// Steps take time, so that tokens travel one by one, and the cuts fall among them.
  private static let slow = WorkerOptions(role: .decode, cost: SimulatedExecutor.Cost(step: .milliseconds(2)))

  /// From a cut with every few tokens to one with many in between.
  @Test(arguments: cases, [900, 1300])
  func cutsAreNotSeen(_ test: Case, _ bytes: Int) async throws {
    var request = Self.request(test)
    var expected = try await Self.undisturbed(request)
    if test.stops {
      // A piece of the first sample that spans several tokens.
      let text = Array(expected.texts[0])
      request = Self.request(test, stop: [String(text[text.count / 2..<min(text.count, text.count / 2 + 9)])])
      expected = try await Self.undisturbed(request)
      #expect(expected.finishes[0] == .stop)
    }
    var configuration = RoutingConfiguration.quick
    // Cuts may come before the next token.
    configuration.maximumMigrations = 50
    try await RoutedWorkers.with(
      [.prefill, Self.slow, Self.slow, Self.slow], cuttingAfter: bytes, configuration: configuration
    ) {
      [request, expected] routed in
      let answer = try await routed.answer(request)
      #expect(answer.agrees(with: expected), "\(answer) is not \(expected)")
      #expect(answer.migrations > 0, "nothing was cut")
    }
  }
}
