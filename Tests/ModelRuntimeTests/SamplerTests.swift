import Foundation
import ModelRuntime
import ServingTestKit
import ServingTypes
import Testing

@Suite struct SamplerTests {
  private func sample(
    _ logits: [Float], _ parameters: SamplingParameters, position: Int = 0, sampleIndex: Int = 0,
    prompt: [TokenID] = [], output: [TokenID] = [], endTokens: [TokenID] = []
  ) throws -> GeneratedToken {
    var sampler = Sampler(vocabularySize: logits.count, endOfGenerationTokens: endTokens)
    let context = TokenCounts(prompt: prompt, output: output, parameters: parameters)
    return try logits.withUnsafeBufferPointer { buffer in
      try sampler.sample(
        logits: buffer, parameters: parameters, sampleIndex: sampleIndex, position: position, context: context)
    }
  }

  /// How often each token is drawn at `draws` positions.
  private func histogram(_ logits: [Float], _ parameters: SamplingParameters, draws: Int) throws -> [Int] {
    var sampler = Sampler(vocabularySize: logits.count, endOfGenerationTokens: [])
    let context = TokenCounts(prompt: [], parameters: parameters)
    var counts = [Int](repeating: 0, count: logits.count)
    try logits.withUnsafeBufferPointer { buffer in
      for position in 0..<draws {
        let token = try sampler.sample(
          logits: buffer, parameters: parameters, sampleIndex: 0, position: position, context: context)
        counts[Int(token.id)] += 1
      }
    }
    return counts
  }

  private func softmax(_ logits: [Float], temperature: Double = 1) -> [Double] {
    let best = Double(logits.max() ?? 0)
    let weights = logits.map { exp((Double($0) - best) / temperature) }
    let total = weights.reduce(0, +)
    return weights.map { $0 / total }
  }

  private func randomLogits(_ count: Int, seed: UInt64, spread: Float = 4) -> [Float] {
    var random = SplitMix64(seed: seed)
    return (0..<count).map { _ in Float.random(in: -spread...spread, using: &random) }
  }

  @Test func greedyTakesTheLargestAndTheLowestOfEqualOnes() throws {
    let greedy = SamplingParameters(temperature: 0)
    for count in [1, 2, 15, 16, 17, 33, 1_000] {
      for seed in 0..<5 {
        let logits = randomLogits(count, seed: UInt64(seed))
        let expected = logits.indices.max { logits[$0] < logits[$1] }
        #expect(Int(try sample(logits, greedy).id) == expected)
      }
    }
    #expect(try sample([1, 3, 2, 3, 3], greedy).id == 1)
    #expect(try sample([Float](repeating: -7, count: 40), greedy).id == 0)
    #expect(try sample([0, 1, 0.5], SamplingParameters(temperature: 1e-6, seed: 3)).id == 1)
  }

  @Test func logitsThatAreNotFiniteAreAnError() {
    for bad in [Float.nan, .infinity, -.infinity] {
      for place in [0, 5, 16, 33] {
        var logits = randomLogits(34, seed: 1)
        logits[place] = bad
        for temperature: Float in [0, 1] {
          let error = #expect(throws: ServingError.self) {
            try sample(logits, SamplingParameters(temperature: temperature))
          }
          #expect(error?.code == .internalError)
        }
      }
    }
    #expect(throws: ServingError.self) { try sample([], SamplingParameters()) }
  }

  /// Chi-square with a fixed seed, so the outcome never changes; 52.6 is exceeded by chance once in 1,000 (24 degrees).
  @Test(arguments: [0.5, 1, 2] as [Float])
  func frequenciesFollowTheSoftmax(temperature: Float) throws {
    let logits = randomLogits(25, seed: 11, spread: 1.5)
    let draws = 40_000
    let counts = try histogram(logits, SamplingParameters(temperature: temperature, seed: 42), draws: draws)
    let expected = softmax(logits, temperature: Double(temperature)).map { $0 * Double(draws) }
    let chiSquare = zip(counts, expected).reduce(0.0) { $0 + pow(Double($1.0) - $1.1, 2) / $1.1 }
    #expect(chiSquare < 52.6)
  }

  /// The same over many seeds and samples at one position each, through every filter, penalty and bias: whichever of the
  /// noise's coordinates varies, the draws are as good as independent. 3,000 fixed seeds, so the outcome never changes.
  @Test(arguments: [
    SamplingParameters(), SamplingParameters(temperature: 0.7, topK: 8), SamplingParameters(topP: 0.8),
    SamplingParameters(temperature: 1.5, minP: 0.1), SamplingParameters(topK: 12, topP: 0.9, minP: 0.02),
    SamplingParameters(repetitionPenalty: 1.4, frequencyPenalty: 0.5, presencePenalty: 0.3),
    SamplingParameters(logitBias: [3: 1.5, 7: -2]),
  ])
  func frequenciesOverSeedsFollowTheDefinition(parameters: SamplingParameters) throws {
    let logits = randomLogits(20, seed: 31, spread: 2)
    let (prompt, output): ([TokenID], [TokenID]) = ([1, 2, 2], [2, 5, 5, 9])
    let expected = defined(logits, parameters, prompt: prompt, output: output)
    var sampler = Sampler(vocabularySize: logits.count, endOfGenerationTokens: [])
    let context = TokenCounts(prompt: prompt, output: output, parameters: parameters)
    var counts = [Double](repeating: 0, count: logits.count)
    for seed in 0..<3_000 {
      for sampleIndex in 0..<4 {
        var parameters = parameters
        parameters.seed = UInt64(seed) &* 0x9E37_79B9_7F4A_7C15
        let token = try logits.withUnsafeBufferPointer {
          try sampler.sample(
            logits: $0, parameters: parameters, sampleIndex: sampleIndex, position: 7, context: context)
        }
        counts[Int(token.id)] += 1
      }
    }
    var chiSquare = 0.0
    for (count, probability) in zip(counts, expected) {
      if probability == 0 {
        #expect(count == 0)
      } else {
        chiSquare += (count - 12_000 * probability) * (count - 12_000 * probability) / (12_000 * probability)
      }
    }
    // Exceeded by chance once in 1,000 with 19 degrees of freedom; filters leave fewer.
    #expect(chiSquare < 43.8)
  }

  /// The distribution by the definition, written down as plainly as it goes.
  private func defined(
    _ logits: [Float], _ parameters: SamplingParameters, prompt: [TokenID], output: [TokenID]
  ) -> [Double] {
    var changed = logits.map(Double.init)
    for (token, bias) in parameters.logitBias { changed[Int(token)] += Double(bias) }
    for token in Set(prompt + output).map(Int.init) {
      let penalty = Double(parameters.repetitionPenalty)
      changed[token] = changed[token] > 0 ? changed[token] / penalty : changed[token] * penalty
      let count = output.filter { Int($0) == token }.count
      changed[token] -= Double(parameters.frequencyPenalty) * Double(count)
      if count > 0 { changed[token] -= Double(parameters.presencePenalty) }
    }
    var probabilities = softmax(changed.map { Float($0) }, temperature: Double(parameters.temperature))
    func keep(_ isKept: (Int) -> Bool) {
      for token in probabilities.indices where !isKept(token) { probabilities[token] = 0 }
      let total = probabilities.reduce(0, +)
      probabilities = probabilities.map { $0 / total }
    }
    let order = probabilities.indices.sorted { (-probabilities[$0], $0) < (-probabilities[$1], $1) }
    if parameters.topK > 0 { keep { order.prefix(parameters.topK).contains($0) } }
    let largest = probabilities.max() ?? 0
    let above = probabilities.map { $0 >= Double(parameters.minP) * largest }
    if parameters.topP < 1 {
      var mass = 0.0
      var nucleus: Set<Int> = []
      for token in order where mass < Double(parameters.topP) {
        mass += probabilities[token]
        nucleus.insert(token)
      }
      keep { nucleus.contains($0) }
    }
    keep { above[$0] }
    return probabilities
  }

  @Test func filteredFrequenciesFollowTheRenormalisedSoftmax() throws {
    let logits: [Float] = [2, 1, 0.5, 0, -1, -4]
    let parameters = SamplingParameters(temperature: 1, topK: 3, seed: 5)
    let counts = try histogram(logits, parameters, draws: 20_000)
    let expected = softmax(Array(logits.prefix(3))).map { $0 * 20_000 }
    let chiSquare = zip(counts, expected).reduce(0.0) { $0 + pow(Double($1.0) - $1.1, 2) / $1.1 }
    #expect(chiSquare < 13.8)
    #expect(counts[3...].allSatisfy { $0 == 0 })
  }

  /// The short cut must find the winner that a look at every token's noise finds.
  @Test func theBoundOnTheNoiseChangesNothing() throws {
    let logits = randomLogits(3_000, seed: 3, spread: 6)
    for (position, temperature) in zip(0..<60, [0.05, 0.7, 1, 3, 100].cycled()) {
      let parameters = SamplingParameters(temperature: Float(temperature), seed: 9)
      let noise = GumbelNoise(seed: 9, sampleIndex: 2, position: position)
      let scores = logits.indices.map { Double(logits[$0]) / Double(Float(temperature)) + noise[TokenID($0)] }
      let expected = scores.indices.max { scores[$0] < scores[$1] }
      #expect(Int(try sample(logits, parameters, position: position, sampleIndex: 2).id) == expected)
    }
  }

  @Test func theTokenDependsOnSeedSampleAndPositionOnly() throws {
    let logits = randomLogits(1_000, seed: 8, spread: 1)
    func tokens(seed: UInt64, sampleIndex: Int) throws -> [TokenID] {
      try (0..<20).map {
        try sample(logits, SamplingParameters(seed: seed), position: $0, sampleIndex: sampleIndex).id
      }
    }
    let first = try tokens(seed: 1, sampleIndex: 0)
    #expect(try tokens(seed: 1, sampleIndex: 0) == first)
    #expect(try tokens(seed: 2, sampleIndex: 0) != first)
    #expect(try tokens(seed: 1, sampleIndex: 1) != first)
    #expect(Set(first).count > 10)
    // Written down once: another machine, compiler or library must draw the same.
    #expect(first.prefix(5) == Self.drawnOnce)
  }

  private static let drawnOnce: ArraySlice<TokenID> = [880, 960, 341, 916, 738]

  @Test func noiseIsGumbelDistributed() {
    let noise = GumbelNoise(seed: 77, sampleIndex: 0, position: 0)
    let values = (0..<50_000).map { noise[TokenID($0)] }.sorted()
    // Kolmogorov and Smirnov: 1.95 is exceeded by chance once in 1,000.
    var distance = 0.0
    for (index, value) in values.enumerated() {
      distance = max(distance, abs(exp(-exp(-value)) - (Double(index) + 0.5) / Double(values.count)))
    }
    #expect(distance * Double(values.count).squareRoot() < 1.95)
  }

  @Test func filtersKeepTheRightTokens() throws {
    let logits: [Float] = [0, 3, 1, 2, 3, -1]
    func drawn(_ parameters: SamplingParameters) throws -> Set<Int> {
      let counts = try histogram(logits, parameters, draws: 4_000)
      return Set(counts.indices.filter { counts[$0] > 0 })
    }
    #expect(try drawn(SamplingParameters(topK: 1)) == [1], "of equal logits the lower token is kept")
    #expect(try drawn(SamplingParameters(topK: 2)) == [1, 4])
    #expect(try drawn(SamplingParameters(topK: 3)) == [1, 3, 4])
    #expect(try drawn(SamplingParameters(topP: 0.01)) == [1])
    // Probabilities, descending: 0.389 0.389 0.143 0.053 0.019 0.007.
    #expect(try drawn(SamplingParameters(topP: 0.38)) == [1])
    #expect(try drawn(SamplingParameters(topP: 0.5)) == [1, 4])
    #expect(try drawn(SamplingParameters(topP: 0.9)) == [1, 3, 4])
    #expect(try drawn(SamplingParameters(topP: 0.95)) == [1, 2, 3, 4])
    #expect(try drawn(SamplingParameters(minP: 1)) == [1, 4])
    #expect(try drawn(SamplingParameters(minP: 0.36)) == [1, 3, 4])
    #expect(try drawn(SamplingParameters(minP: 0.37)) == [1, 4])
    // Top-p looks at what top-k left: 0.5 of it is the first token.
    #expect(try drawn(SamplingParameters(topK: 2, topP: 0.49)) == [1])
    #expect(try drawn(SamplingParameters(topP: 0.49, minP: 1)) == [1])
    // A low temperature sharpens before top-p counts.
    #expect(try drawn(SamplingParameters(temperature: 0.1, topP: 0.99)) == [1, 4])
  }

  /// Top-p over a large vocabulary against a plain sort of it.
  @Test(arguments: [0.1, 0.5, 0.9, 0.999, 0.999_999] as [Float])
  func topPAgreesWithASort(topP: Float) throws {
    let logits = randomLogits(20_000, seed: 6, spread: 9)
    let probabilities = softmax(logits)
    var mass = 0.0
    var kept: Set<TokenID> = []
    for token in logits.indices.sorted(by: { (-logits[$0], $0) < (-logits[$1], $1) }) where mass < Double(topP) {
      mass += probabilities[token]
      kept.insert(TokenID(token))
    }
    for position in 0..<100 {
      let noise = GumbelNoise(seed: 4, sampleIndex: 0, position: position)
      let expected = kept.max { Double(logits[Int($0)]) + noise[$0] < Double(logits[Int($1)]) + noise[$1] }
      #expect(try sample(logits, SamplingParameters(topP: topP, seed: 4), position: position).id == expected)
    }
  }

  @Test func penaltiesCountPromptAndOutput() throws {
    let logits: [Float] = [2, 1.9, 1.8, -1]
    func greedy(_ change: (inout SamplingParameters) -> Void, prompt: [TokenID], output: [TokenID]) throws -> TokenID {
      var parameters = SamplingParameters(temperature: 0)
      change(&parameters)
      return try sample(logits, parameters, prompt: prompt, output: output).id
    }
    #expect(try greedy({ $0.repetitionPenalty = 1.1 }, prompt: [0], output: []) == 1)
    #expect(try greedy({ $0.repetitionPenalty = 1.2 }, prompt: [0], output: [1]) == 2)
    #expect(
      try greedy({ $0.presencePenalty = 0.15 }, prompt: [0, 0], output: []) == 0, "presence looks at output only")
    #expect(try greedy({ $0.presencePenalty = 0.15 }, prompt: [], output: [0]) == 1)
    #expect(try greedy({ $0.frequencyPenalty = 0.08 }, prompt: [], output: [0]) == 0)
    #expect(try greedy({ $0.frequencyPenalty = 0.08 }, prompt: [], output: [0, 0]) == 1)
    #expect(try greedy({ $0.frequencyPenalty = 0.08 }, prompt: [], output: [0, 1, 0, 1, 0, 1]) == 2)
    // A negative logit is multiplied, so that it falls as well.
    let negative: [Float] = [-1, -1.05]
    #expect(try sample(negative, SamplingParameters(temperature: 0, repetitionPenalty: 1.1), prompt: [0]).id == 1)
  }

  @Test func biasMovesTokens() throws {
    let logits: [Float] = [2, 1, 0]
    #expect(try sample(logits, SamplingParameters(temperature: 0, logitBias: [2: 5])).id == 2)
    #expect(try sample(logits, SamplingParameters(temperature: 0, logitBias: [0: -100])).id == 1)
    #expect(try sample(logits, SamplingParameters(temperature: 1, logitBias: [1: 100], seed: 1)).id == 1)
  }

  @Test func theLeastLengthSuppressesEndTokens() throws {
    let logits: [Float] = [9, 8, 7, 1]
    let parameters = SamplingParameters(temperature: 0, minTokens: 2, stopTokenIDs: [1])
    #expect(try sample(logits, parameters, output: [], endTokens: [0]).id == 2)
    #expect(try sample(logits, parameters, output: [3], endTokens: [0]).id == 2)
    #expect(try sample(logits, parameters, output: [3, 3], endTokens: [0]).id == 0)
    var ignoring = parameters
    ignoring.ignoreEOS = true
    #expect(try sample(logits, ignoring, endTokens: [0]).id == 0)
    let all = SamplingParameters(temperature: 1, minTokens: 1, stopTokenIDs: [0, 1, 2, 3])
    let error = #expect(throws: ServingError.self) { try sample(logits, all) }
    #expect(error?.code == .invalidArgument)
  }

  @Test func logprobsAreOfTheRawLogits() throws {
    let logits = randomLogits(500, seed: 21)
    let expected = softmax(logits).map { log($0) }
    let order = logits.indices.sorted { (-logits[$0], $0) < (-logits[$1], $1) }
    let bias: [TokenID: Float] = [17: 100]
    let token = try sample(logits, SamplingParameters(temperature: 0.3, logitBias: bias, seed: 1, logprobs: 5))
    #expect(token.id == 17)
    #expect(abs(Double(token.logprob ?? 0) - expected[17]) < 1e-5)
    #expect(token.top.map { Int($0.token) } == Array(order.prefix(5)))
    for entry in token.top { #expect(abs(Double(entry.logprob) - expected[Int(entry.token)]) < 1e-5) }
    let chosenOnly = try sample(logits, SamplingParameters(temperature: 0, logprobs: 0))
    #expect(chosenOnly.logprob != nil && chosenOnly.top.isEmpty)
    #expect(try sample(logits, SamplingParameters(temperature: 0)).logprob == nil)
    #expect(try sample([1, 2], SamplingParameters(temperature: 0, logprobs: 20)).top.count == 2)
  }

  @Test func aFilterDoesNotDisturbTheNextCall() throws {
    var sampler = Sampler(vocabularySize: 100, endOfGenerationTokens: [])
    let logits = randomLogits(100, seed: 2)
    let cases = [
      SamplingParameters(topK: 3, seed: 1), SamplingParameters(temperature: 0), SamplingParameters(topP: 0.8, seed: 1),
      SamplingParameters(logitBias: [4: 2], seed: 1, logprobs: 3), SamplingParameters(seed: 1),
    ]
    for parameters in cases + cases.reversed() {
      let fresh = try sample(logits, parameters)
      let reused = try logits.withUnsafeBufferPointer {
        try sampler.sample(
          logits: $0, parameters: parameters, sampleIndex: 0, position: 0,
          context: TokenCounts(prompt: [], parameters: parameters))
      }
      #expect(reused == fresh)
    }
  }
}

extension Array {
  fileprivate func cycled() -> UnfoldSequence<Element, Int> {
    sequence(state: 0) { index in
      defer { index = (index + 1) % self.count }
      return self[index]
    }
  }
}
