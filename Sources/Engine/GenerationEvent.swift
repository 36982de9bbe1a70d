import ServingTypes

/// What a generation reports.
public enum GenerationEvent: Sendable {
  /// Where the request asked for them, before all else: the prompt's tokens but the first, each with its log-probability after
  /// those before.
  case promptLogprobs([GeneratedToken])
  /// New tokens of a sample, the end-of-generation or stop token included; `finish` with its last ones.
  case tokens(sample: Int, tokens: [GeneratedToken], finish: FinishReason?)
  /// Every sample has finished; the last event.
  case finished(GenerationSummary)
}
