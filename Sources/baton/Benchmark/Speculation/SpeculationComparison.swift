import Engine
import ServingTypes

/// Runs the same requests on two engines in turn, of which one speculates.
struct SpeculationComparison {
  /// What is asked for in one pair of runs.
  struct Work {
    var prompt: [TokenID]
    var sampling: SamplingParameters
    /// Ends the answer after so many tokens, of which the engines know nothing before.
    var stopAfter: Int?
  }

  /// What became of one row's pairs.
  struct Result {
    /// Time without ÷ time with, of each pair.
    var ratios: [Double] = []
    /// Seconds from an answer's first token to its last, without speculation and with it.
    var plain: [Double] = []
    var speculative: [Double] = []
    var tokens = 0
    var drafted = 0
    var accepted = 0

    /// Of all drafts, those that were right.
    var acceptance: Double { drafted > 0 ? Double(accepted) / Double(drafted) : 0 }
  }

  private struct Answer {
    var tokens: [TokenID] = []
    var seconds = 0.0
  }

  let speculative: EngineCore
  let plain: EngineCore

  /// - Parameter work: of each pair.
  /// - Throws: `internalError` where the two gave different tokens, `failedPrecondition` where an answer is too short to time.
  func run(pairs: Int, _ work: (Int) -> Work) async throws -> Result {
    var result = Result()
    let before = speculative.statistics
    for pair in 0..<pairs {
      let work = work(pair)
      // Who goes first changes, so that neither always finds the machine as the other left it.
      let first = try await answer(work, pair % 2 == 0 ? plain : speculative)
      let second = try await answer(work, pair % 2 == 0 ? speculative : plain)
      let (without, with) = pair % 2 == 0 ? (first, second) : (second, first)
      guard without.tokens == with.tokens else {
        throw ServingError(.internalError, "the tokens with and without speculation are not the same")
      }
      guard without.seconds > 0, with.seconds > 0 else {
        throw ServingError(.failedPrecondition, "an answer came in one piece, which leaves nothing to time")
      }
      result.ratios.append(without.seconds / with.seconds)
      result.plain.append(without.seconds)
      result.speculative.append(with.seconds)
      result.tokens += with.tokens.count
    }
    let after = speculative.statistics
    result.drafted = Int(after.draftedTokens - before.draftedTokens)
    result.accepted = Int(after.acceptedTokens - before.acceptedTokens)
    return result
  }

  private func answer(_ work: Work, _ engine: EngineCore) async throws -> Answer {
    let handle = try engine.generate(EngineRequest(prompt: work.prompt, sampling: work.sampling))
    let limit = work.stopAfter ?? Int.max
    var answer = Answer()
    var first: ContinuousClock.Instant?
    for try await event in handle.events {
      guard case .tokens(_, let tokens, _) = event, answer.tokens.count < limit else { continue }
      let now = ContinuousClock.now
      answer.tokens += tokens.map(\.id)
      if let first { answer.seconds = (now - first) / .seconds(1) } else { first = now }
      if answer.tokens.count >= limit {
        // A step may bring more than were asked for.
        answer.tokens.removeSubrange(limit...)
        handle.stop(sample: 0)
      }
    }
    return answer
  }
}
