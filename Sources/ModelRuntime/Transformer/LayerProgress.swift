/// What of a pass through all layers comes next.
struct LayerProgress {
  /// The parts of a layer, in order; each needs only what those before it left in the scratch memory.
  enum Part {
    /// Queries, keys and values, which are stored.
    case input
    /// So many of its tasks are done.
    case attention(done: Int)
    case attentionOutput
    case expansion
    case contraction
  }

  var layer = 0
  var part = Part.input
}
