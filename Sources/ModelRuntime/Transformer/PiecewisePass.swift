/// A pass through all layers that comes in pieces.
struct PiecewisePass {
  var batch = ForwardBatch()
  /// Nil before its first piece, and when it has ended.
  var progress: LayerProgress?
}
