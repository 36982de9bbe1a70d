import CKernels
import ServingTypes

/// A model's tensors before they are packed: matrices by their index, vectors read already.
struct ModelTensors {
  var layers: [LayerTensors]
  var outputNorm: UnsafePointer<Float>
  var output: Int
  var ropeFactors: UnsafePointer<Float>?
}

/// One layer's tensors, by the names that llama.cpp's converter gives them.
struct LayerTensors {
  private let attentionNorm: UnsafePointer<Float>
  private let query: Int
  private let key: Int
  private let value: Int
  private let attentionOutput: Int
  private var queryBias: UnsafePointer<Float>?
  private var keyBias: UnsafePointer<Float>?
  private var valueBias: UnsafePointer<Float>?
  private var queryNorm: UnsafePointer<Float>?
  private var keyNorm: UnsafePointer<Float>?
  private var postAttentionNorm: UnsafePointer<Float>?
  private let feedForwardNorm: UnsafePointer<Float>
  private let gate: Int
  private let up: Int
  private let down: Int
  private var postFeedForwardNorm: UnsafePointer<Float>?

  init(_ layer: Int, _ model: ModelConfiguration, _ builder: inout WeightsBuilder) throws(ServingError) {
    let prefix = "blk.\(layer)."
    let width = model.embeddingSize
    let querySize = model.headCount * model.headSize
    let kvSize = model.kvHeadCount * model.headSize
    attentionNorm = try builder.vector(prefix + "attn_norm.weight", count: width)
    query = try builder.matrix(prefix + "attn_q.weight", rows: querySize, columns: width)
    key = try builder.matrix(prefix + "attn_k.weight", rows: kvSize, columns: width)
    value = try builder.matrix(prefix + "attn_v.weight", rows: kvSize, columns: width)
    attentionOutput = try builder.matrix(prefix + "attn_output.weight", rows: width, columns: querySize)
    feedForwardNorm = try builder.vector(prefix + "ffn_norm.weight", count: width)
    gate = try builder.matrix(prefix + "ffn_gate.weight", rows: model.feedForwardSize, columns: width)
    up = try builder.matrix(prefix + "ffn_up.weight", rows: model.feedForwardSize, columns: width)
    down = try builder.matrix(prefix + "ffn_down.weight", rows: width, columns: model.feedForwardSize)
    switch model.architecture {
    case .llama:
      queryBias = try builder.optionalVector(prefix + "attn_q.bias", count: querySize)
      keyBias = try builder.optionalVector(prefix + "attn_k.bias", count: kvSize)
      valueBias = try builder.optionalVector(prefix + "attn_v.bias", count: kvSize)
    case .qwen2:
      queryBias = try builder.vector(prefix + "attn_q.bias", count: querySize)
      keyBias = try builder.vector(prefix + "attn_k.bias", count: kvSize)
      valueBias = try builder.vector(prefix + "attn_v.bias", count: kvSize)
    case .gemma3:
      queryNorm = try builder.vector(prefix + "attn_q_norm.weight", count: model.headSize)
      keyNorm = try builder.vector(prefix + "attn_k_norm.weight", count: model.headSize)
      postAttentionNorm = try builder.vector(prefix + "post_attention_norm.weight", count: width)
      postFeedForwardNorm = try builder.vector(prefix + "post_ffw_norm.weight", count: width)
    }
  }

  func layer(_ packed: PackedMatrices) -> LayerWeights {
    LayerWeights(
      attentionNorm: attentionNorm, query: packed.matrix(query), key: packed.matrix(key), value: packed.matrix(value),
      attentionOutput: packed.matrix(attentionOutput), queryBias: queryBias, keyBias: keyBias, valueBias: valueBias,
      queryNorm: queryNorm, keyNorm: keyNorm, postAttentionNorm: postAttentionNorm, feedForwardNorm: feedForwardNorm,
      gate: packed.matrix(gate), up: packed.matrix(up), down: packed.matrix(down),
      postFeedForwardNorm: postFeedForwardNorm)
  }
}
