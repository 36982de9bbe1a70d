import Routing
import ServingTypes

/// Follows an answer's updates, and knows whether it is whole.
///
/// Pure. A generation that says something impossible, or ends before each choice ended, is an error: an answer is never
/// given a good end without all of its text.
struct Answer: Sendable {
  private(set) var choices: [Choice]
  private(set) var usage = GenerationUsage()
  private(set) var explanations: [(route: GenerationRoute?, timeline: GenerationTimeline?)] = []
  /// By prompt, of its tokens from the second on.
  private(set) var promptLogprobs: [[GeneratedToken]]
  private let expectedPromptLogprobs: [Int]
  private let dropsOutput: Bool
  private let samples: Int
  private let keepsText: Bool
  private var promptsWithUsage: Set<Int> = []

  /// - Parameters:
  ///   - promptLogprobs: by prompt, how many log-probabilities of its own tokens will come.
  ///   - keepsText: whether the answer is written whole at the end.
  ///   - dropsOutput: whether what was generated is no part of the answer.
  init(prompts: Int, samples: Int, promptLogprobs: [Int] = [], keepsText: Bool, dropsOutput: Bool = false) {
    self.samples = samples
    self.promptLogprobs = Array(repeating: [], count: prompts)
    expectedPromptLogprobs = promptLogprobs
    self.dropsOutput = dropsOutput
    self.keepsText = keepsText
    choices = Array(repeating: Choice(), count: prompts * samples)
  }

  /// Takes one update of one prompt, and calls `body` for each of its outputs with the index and the state of its choice.
  mutating func accept(
    _ update: GenerationUpdate, prompt: Int, body: (Int, inout Choice, SampleOutput) -> Void = { _, _, _ in }
  ) throws(ServingError) {
    promptLogprobs[prompt] += update.promptLogprobs
    for var output in update.outputs {
      guard (0..<samples).contains(output.sample) else {
        throw ServingError(.internalError, "an output names sample \(output.sample) of \(samples)")
      }
      let index = prompt * samples + output.sample
      guard choices[index].finish == nil else {
        throw ServingError(.internalError, "an output came after the end of its sample")
      }
      if output.finish == .cancelled { throw ServingError(.cancelled, "the generation was cancelled") }
      if dropsOutput { output = SampleOutput(sample: output.sample, finish: output.finish.map { _ in .length }) }
      body(index, &choices[index], output)
      choices[index].finish = output.finish
      if keepsText {
        choices[index].text += output.text
        choices[index].tokens += output.tokens
      }
    }
    if let more = update.usage, promptsWithUsage.insert(prompt).inserted {
      usage.promptTokens += more.promptTokens
      if !dropsOutput { usage.completionTokens += more.completionTokens }
      usage.cachedTokens += more.cachedTokens
    }
    if update.route != nil || update.timeline != nil { explanations.append((update.route, update.timeline)) }
  }

  /// Whether a choice of the prompt waits for its first chunk.
  func hasUnopenedChoice(prompt: Int) -> Bool {
    choices[prompt * samples..<(prompt + 1) * samples].contains { !$0.isOpened }
  }

  /// Leaves of each prompt's choices those with the highest log-probability per token, the highest first.
  ///
  /// For a complete answer; usage still counts what was generated.
  mutating func keepLikeliest(_ count: Int) {
    choices = stride(from: 0, to: choices.count, by: samples).flatMap { start in
      let all = choices[start..<start + samples].map { ($0, $0.meanLogprob) }.enumerated()
      let order = all.sorted { ($1.element.1, $0.offset) < ($0.element.1, $1.offset) }
      return order.prefix(count).map(\.element.0)
    }
  }

  /// Whether every choice has ended, and every prompt's usage and log-probabilities are known.
  func checkComplete() throws(ServingError) {
    let areThere = zip(promptLogprobs, expectedPromptLogprobs).allSatisfy { $0.count == $1 }
    guard areThere, choices.allSatisfy({ $0.finish != nil }), promptsWithUsage.count * samples == choices.count else {
      throw ServingError(.internalError, "the generation ended before the answer was complete")
    }
  }
}
