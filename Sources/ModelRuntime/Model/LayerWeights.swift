import CKernels

/// One layer's weights, in the memory of its `ModelWeights`. Vectors are `f32`; nil where the architecture has none.
struct LayerWeights {
  var attentionNorm: UnsafePointer<Float>
  var query: UnsafePointer<k_matrix>
  var key: UnsafePointer<k_matrix>
  var value: UnsafePointer<k_matrix>
  var attentionOutput: UnsafePointer<k_matrix>
  var queryBias: UnsafePointer<Float>?
  var keyBias: UnsafePointer<Float>?
  var valueBias: UnsafePointer<Float>?
  var queryNorm: UnsafePointer<Float>?
  var keyNorm: UnsafePointer<Float>?
  var postAttentionNorm: UnsafePointer<Float>?
  var feedForwardNorm: UnsafePointer<Float>
  var gate: UnsafePointer<k_matrix>
  var up: UnsafePointer<k_matrix>
  var down: UnsafePointer<k_matrix>
  var postFeedForwardNorm: UnsafePointer<Float>?
}
