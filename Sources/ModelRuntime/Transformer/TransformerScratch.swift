import CKernels

/// The activations of one slab of tokens: `rows` × width each, reused by every layer and step.
struct TransformerScratch: ~Copyable {
  /// Tokens that go through all layers together. Longer batches are cut: weights are read once a slab, and the memory for
  /// activations does not grow with the batch.
  static let rows = 256

  var residual: ScratchBuffer<Float>
  var normalized: ScratchBuffer<Float>
  var queries: ScratchBuffer<Float>
  var keys: ScratchBuffer<Float>
  var values: ScratchBuffer<Float>
  var attended: ScratchBuffer<Float>
  var delta: ScratchBuffer<Float>
  var gate: ScratchBuffer<Float>
  var up: ScratchBuffer<Float>
  var panels: ScratchBuffer<k_panel>
  var outliers: ScratchBuffer<k_outlier>
  var cosines: ScratchBuffer<Float>
  var sines: ScratchBuffer<Float>
  var localCosines: ScratchBuffer<Float>
  var localSines: ScratchBuffer<Float>
  var positions: ScratchBuffer<Int32>
  var rowTables: ScratchBuffer<Int32>
  var items: ScratchBuffer<k_attention_item>
  var splitItems: ScratchBuffer<k_attention_item>
  var partials: ScratchBuffer<Float>
  var logits: ScratchBuffer<Float>

  init(_ model: ModelConfiguration) {
    let rows = Self.rows
    let querySize = model.headCount * model.headSize
    let kvSize = model.kvHeadCount * model.headSize
    let widest = max(model.embeddingSize, querySize, model.feedForwardSize)
    residual = ScratchBuffer(capacity: rows * model.embeddingSize)
    normalized = ScratchBuffer(capacity: rows * model.embeddingSize)
    queries = ScratchBuffer(capacity: rows * querySize)
    keys = ScratchBuffer(capacity: rows * kvSize)
    values = ScratchBuffer(capacity: rows * kvSize)
    attended = ScratchBuffer(capacity: rows * querySize)
    delta = ScratchBuffer(capacity: rows * model.embeddingSize)
    gate = ScratchBuffer(capacity: rows * model.feedForwardSize)
    up = ScratchBuffer(capacity: rows * model.feedForwardSize)
    panels = ScratchBuffer(capacity: k_panel_count(rows, widest))
    outliers = ScratchBuffer(capacity: rows)
    cosines = ScratchBuffer(capacity: rows * model.headSize / 2)
    sines = ScratchBuffer(capacity: rows * model.headSize / 2)
    localCosines = ScratchBuffer(capacity: rows * model.headSize / 2)
    localSines = ScratchBuffer(capacity: rows * model.headSize / 2)
    positions = ScratchBuffer(capacity: rows)
    rowTables = ScratchBuffer(capacity: rows)
    items = ScratchBuffer(capacity: rows)
    splitItems = ScratchBuffer(capacity: rows)
    partials = ScratchBuffer(capacity: 1)
    logits = ScratchBuffer(capacity: model.vocabularySize)
  }

  /// Bytes that the buffers have now, without the logits and the lists of rows and items.
  var heldBytes: Int {
    let floats =
      residual.capacity + normalized.capacity + queries.capacity + keys.capacity + values.capacity + attended.capacity
      + delta.capacity + gate.capacity + up.capacity + partials.capacity + cosines.capacity + sines.capacity
      + localCosines.capacity + localSines.capacity
    return 4 * floats + panels.capacity * MemoryLayout<k_panel>.stride
  }

  /// Bytes of activations and attention's partial results, without the logits, which grow with the rows asked for.
  static func byteCount(_ model: ModelConfiguration, threads: Int, contextLength: Int) -> Int {
    let querySize = model.headCount * model.headSize
    let kvSize = model.kvHeadCount * model.headSize
    let floats = 3 * model.embeddingSize + 2 * querySize + 2 * kvSize + 2 * model.feedForwardSize + 2 * model.headSize
    let activations = rows * (4 * floats + 2 * max(model.embeddingSize, querySize, model.feedForwardSize))
    let partials = AttentionPlan.mostPartials(model, threads: threads, contextLength: contextLength) * 4
    return activations + partials
  }
}
