/// A pass through all layers that comes in pieces.
struct PiecewisePass {
  var batch = ForwardBatch()
  var slab = Slab()
  /// Nil between slabs.
  var progress: LayerProgress?

  var isLastSlab: Bool { slab.first + slab.rows == batch.tokens.count }
}
