import ServingTypes

/// What a client has received so far, over all the workers that a request went through. Pure.
package struct GenerationProgress: Sendable {
  /// Per sample.
  package private(set) var generated: [[TokenID]]
  private var isFinished: [Bool]
  /// Samples that were finished before the present stream began.
  private var wasFinished: [Bool]
  /// Log-probabilities of the prompt's own tokens that the client waits for, and that the present stream has sent.
  package private(set) var missingPromptLogprobs: Int
  private var streamedPromptLogprobs = 0
  private let promptLogprobs: Int

  /// - Parameter promptLogprobs: how many of them the client shall get.
  package init(samples: Int, promptLogprobs: Int = 0) {
    self.promptLogprobs = promptLogprobs
    missingPromptLogprobs = promptLogprobs
    generated = Array(repeating: [], count: samples)
    isFinished = Array(repeating: false, count: samples)
    wasFinished = isFinished
  }

  package var isComplete: Bool { isFinished.allSatisfy(\.self) && missingPromptLogprobs == 0 }
  package var hasTokens: Bool { generated.contains { !$0.isEmpty } }
  package var completionTokens: Int { generated.reduce(0) { $0 + $1.count } }
  package var longestSample: Int { generated.map(\.count).max() ?? 0 }

  /// A new stream begins, which was told of everything so far.
  package mutating func beginStream() {
    wasFinished = isFinished
    streamedPromptLogprobs = 0
  }

  /// Takes log-probabilities of the prompt's own tokens in.
  ///
  /// - Returns: those that are news to the client: a worker that a request moved to may send all of them again.
  package mutating func accept(promptLogprobs tokens: [GeneratedToken]) throws(ServingError) -> [GeneratedToken] {
    if tokens.isEmpty { return [] }
    let known = max(0, promptLogprobs - missingPromptLogprobs - streamedPromptLogprobs)
    streamedPromptLogprobs += tokens.count
    guard streamedPromptLogprobs <= promptLogprobs else {
      throw ServingError(
        .internalError,
        "the worker sent \(streamedPromptLogprobs) log-probabilities of the prompt; \(promptLogprobs) were asked for")
    }
    let news = Array(tokens.dropFirst(known))
    missingPromptLogprobs -= news.count
    return news
  }

  /// Takes outputs in.
  ///
  /// - Returns: those that are news to the client: a worker that a request moved to may end a finished sample again.
  /// - Throws: `internalError` when the worker broke the protocol; the text can then no longer be trusted.
  package mutating func accept(_ outputs: [SampleOutput]) throws(ServingError) -> [SampleOutput] {
    guard outputs.isEmpty || missingPromptLogprobs == 0 else {
      throw ServingError(
        .internalError, "the worker sent outputs before \(missingPromptLogprobs) log-probabilities of the prompt")
    }
    var news: [SampleOutput] = []
    news.reserveCapacity(outputs.count)
    for output in outputs {
      guard generated.indices.contains(output.sample) else {
        throw ServingError(
          .internalError, "the worker sent sample \(output.sample); the request has \(generated.count)")
      }
      if isFinished[output.sample] {
        if wasFinished[output.sample], output.tokens.isEmpty, output.text.isEmpty { continue }
        throw ServingError(.internalError, "the worker went on with sample \(output.sample) after its end")
      }
      for token in output.tokens { generated[output.sample].append(token.id) }
      if output.finish != nil { isFinished[output.sample] = true }
      news.append(output)
    }
    return news
  }
}
