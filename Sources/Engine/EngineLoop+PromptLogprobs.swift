import ModelRuntime
import Scheduling
import ServingTypes

// Log-probabilities of the prompt's own tokens.
extension EngineLoop {
  /// Each row says what comes after its token, and so how likely the prompt's next token was.
  ///
  /// After a preemption rows come again; they say the same.
  func notePromptLogprobs(
    _ segment: SchedulerOutput.Segment, _ request: ActiveRequest, _ logits: UnsafeBufferPointer<Float>,
    _ rows: Range<Int>
  ) throws(ServingError) {
    guard !rows.isEmpty, let count = request.parameters.promptLogprobs else { return }
    let prompt = request.submission.request.prompt
    for (offset, row) in rows.enumerated() {
      let position = segment.start + offset + 1
      guard position < prompt.count, position == request.promptLogprobs.count + 1 else { continue }
      let values = UnsafeBufferPointer(rebasing: logits[row * vocabularySize..<(row + 1) * vocabularySize])
      request.promptLogprobs.append(
        try sampler.logprobs(of: prompt[position], count: count, logits: values, position: position))
    }
    guard request.promptLogprobs.count == prompt.count - 1, !request.hasSentPromptLogprobs else { return }
    request.hasSentPromptLogprobs = true
    if case .generation(let buffer) = request.submission.sink {
      outgoing.append(.generation(buffer, .promptLogprobs(request.promptLogprobs)))
    }
  }
}
