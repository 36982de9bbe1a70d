import ServingTypes

/// What a generation reports.
public enum GenerationEvent: Sendable {
  /// New tokens of a sample, the end-of-generation or stop token included; `finish` with its last ones.
  case tokens(sample: Int, tokens: [GeneratedToken], finish: FinishReason?)
  /// Every sample has finished; the last event.
  case finished(GenerationSummary)
}
