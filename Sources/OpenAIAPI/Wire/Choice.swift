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
}
