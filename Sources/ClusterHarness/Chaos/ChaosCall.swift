import ServingTypes

/// A request whose right answer is known.
public struct ChaosCall: Hashable, Sendable {
  public var model: String
  public var prompt: String
  public var sampling: SamplingParameters
}

extension ChaosCall {
  /// Requests as a chat's turns make them: a few system prompts, each with questions that grow by a turn; greedy and seeded
  /// sampling, one or two samples, with and without a stop string.
  public static func mix(model: String, count: Int, systemWords: Int, answerTokens: ClosedRange<Int>, seed: UInt64)
    -> [ChaosCall]
  {
    var random = SplitMix64(seed: seed)
    func words(_ count: Int) -> String {
      (0..<count).map { _ in vocabulary[Int(random.next() % UInt64(vocabulary.count))] }.joined(separator: " ")
    }
    let systems = (0..<4).map { _ in words(systemWords) + ".\n" }
    var calls: [ChaosCall] = []
    while calls.count < count {
      var prompt = systems[calls.count / 4 % systems.count]
      for turn in 0..<4 where calls.count < count {
        prompt += "Question \(turn + 1): what about the \(words(6))?\nAnswer:"
        var sampling = SamplingParameters()
        sampling.temperature = turn % 2 == 0 ? 0 : 0.8
        sampling.seed = random.next() >> 1
        sampling.maxTokens = answerTokens.lowerBound + Int(random.next() % UInt64(answerTokens.count))
        sampling.ignoreEOS = true
        if calls.count % 7 == 3 { sampling.n = 2 }
        if calls.count % 5 == 2 { sampling.stop = ["the"] }
        calls.append(ChaosCall(model: model, prompt: prompt, sampling: sampling))
        prompt += " " + words(8) + ".\n"
      }
    }
    return calls
  }

  private static let vocabulary =
    "river stone light garden window engine letter winter market bridge paper silver cloud forest island mirror station"
    .split(separator: " ").map(String.init)
}
