import ServingTypes

/// What one choice of an answer has so far.
struct Choice: Sendable {
  /// Whether a chunk of this choice was written.
  var isOpened = false
  var finish: FinishReason?
  /// Filled for answers that are written whole.
  var text = ""
  var tokens: [GeneratedToken] = []
  /// Characters (Unicode scalars) in the text of the tokens before the next one.
  var textOffset = 0

  /// Log-probability per token; of no tokens 0, as nothing was unlikely.
  var meanLogprob: Double {
    tokens.isEmpty ? 0 : tokens.reduce(0) { $0 + Double($1.logprob ?? 0) } / Double(tokens.count)
  }
}
