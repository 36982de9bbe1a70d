/// Tokens of a batch that go through all layers together.
struct Slab {
  var first = 0
  var rows = 0
  /// Of the batch's rows of logits.
  var logits = 0..<0
  /// The segment of the next slab's first token, and how many tokens of it lie before.
  var segment = 0
  var consumed = 0
}
