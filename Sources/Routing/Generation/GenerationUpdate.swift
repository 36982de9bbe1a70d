import ServingTypes

/// One step of an answer.
public struct GenerationUpdate: Hashable, Sendable {
  /// Where the request asked for them: the prompt's tokens but the first, in order, in updates before the first output.
  public var promptLogprobs: [GeneratedToken]
  public var outputs: [SampleOutput]
  /// On the last update, as are the route and the time line.
  public var usage: GenerationUsage?
  public var route: GenerationRoute?
  public var timeline: GenerationTimeline?

  public init(
    promptLogprobs: [GeneratedToken] = [], outputs: [SampleOutput] = [], usage: GenerationUsage? = nil,
    route: GenerationRoute? = nil, timeline: GenerationTimeline? = nil
  ) {
    self.promptLogprobs = promptLogprobs
    self.outputs = outputs
    self.usage = usage
    self.route = route
    self.timeline = timeline
  }

  /// A message of so many tokens, with every log-probability that can be asked for, stays far below the transport's limit.
  private static let mostTokens = 4096

  /// Takes in the update that follows this one, unless both together would be too large, or one is of the prompt's tokens,
  /// which come before all outputs.
  mutating func absorb(_ next: GenerationUpdate) -> Bool {
    let tokens = tokenCount + next.tokenCount
    guard usage == nil, tokens <= Self.mostTokens, promptLogprobs.isEmpty, next.promptLogprobs.isEmpty else {
      return false
    }
    for output in next.outputs {
      if let index = outputs.lastIndex(where: { $0.sample == output.sample }), outputs[index].finish == nil {
        outputs[index].tokens += output.tokens
        outputs[index].text += output.text
        outputs[index].finish = output.finish
      } else {
        outputs.append(output)
      }
    }
    (usage, route, timeline) = (next.usage, next.route, next.timeline)
    return true
  }

  private var tokenCount: Int { outputs.reduce(promptLogprobs.count) { $0 + $1.tokens.count } }
}
