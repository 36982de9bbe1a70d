import CKernels
import ServingTypes

/// The forward pass of a decoder-only transformer over the paged pool.
///
/// A token's result does not depend on what else is in the batch, on how its prompt was cut, on the pieces that a pass comes
/// in, or on the number of threads. One pass at a time, used from one thread.
struct Transformer: ~Copyable {
  private let weights: ModelWeights
  private let model: ModelConfiguration
  private let kernels: UnsafePointer<k_kernels>
  private let quantizes: Bool
  private let pool: ThreadPool
  private let placement: KVPlacement
  private let rotary: RotaryTable
  private let localRotary: RotaryTable
  private var plan: AttentionPlan
  private var scratch: TransformerScratch
  private var pieces = PiecewisePass()

  init(
    weights: ModelWeights, arithmetic: KernelArithmetic, kernels: UnsafePointer<k_kernels>, pool: ThreadPool,
    placement: KVPlacement, contextLength: Int
  ) {
    self.weights = weights
    model = weights.configuration
    self.kernels = kernels
    quantizes = arithmetic == .fast
    self.pool = pool
    self.placement = placement
    rotary = RotaryTable(
      base: model.ropeBase, scale: model.ropeScale, headSize: model.headSize, contextLength: contextLength,
      factors: weights.ropeFactors)
    localRotary = RotaryTable(
      base: model.localRopeBase, scale: 1, headSize: model.headSize,
      contextLength: model.slidingWindow == nil ? 1 : contextLength, factors: weights.ropeFactors)
    plan = AttentionPlan(model, threads: pool.threadCount)
    scratch = TransformerScratch(model)
  }

  /// Runs passes beside those of `other`, with scratch memory of its own.
  init(beside other: borrowing Transformer) {
    weights = other.weights
    model = other.model
    kernels = other.kernels
    quantizes = other.quantizes
    pool = other.pool
    placement = other.placement
    rotary = other.rotary
    localRotary = other.localRotary
    plan = AttentionPlan(model, threads: pool.threadCount)
    scratch = TransformerScratch(model)
  }

  /// Bytes that scratch takes now, without the logits.
  var scratchBytes: Int { scratch.heldBytes }

  var rotationBytes: Int { rotary.byteCount + localRotary.byteCount }

  /// Computes the batch, which has been checked, a slab of tokens at a time.
  ///
  /// - Returns: `[logitRows, logitWidth]`, valid until the next call.
  mutating func forward(_ batch: ForwardBatch) -> UnsafeBufferPointer<Float> {
    pieces.progress = nil
    scratch.logits.reserve(batch.logitRows.count * logitWidth(batch))
    var slab = Slab()
    while start(&slab, of: batch) {
      var progress = LayerProgress()
      while !runPart(&progress, slab, of: batch, mostWork: .max) {}
      project(slab, of: batch)
    }
    return logits(batch)
  }

  private func logits(_ batch: ForwardBatch) -> UnsafeBufferPointer<Float> {
    UnsafeBufferPointer(start: scratch.logits.base, count: batch.logitRows.count * logitWidth(batch))
  }

  private func logitWidth(_ batch: ForwardBatch) -> Int { batch.vocabularyPrefix ?? model.vocabularySize }

  /// Goes on to the next slab, and fills in its embeddings, positions, rotations and attention items. False: there is none.
  private mutating func start(_ slab: inout Slab, of batch: ForwardBatch) -> Bool {
    slab.first += slab.rows
    slab.rows = min(TransformerScratch.rows, batch.tokens.count - slab.first)
    guard slab.rows > 0 else { return false }
    let (first, rows) = (slab.first, slab.rows)
    var end = slab.logits.upperBound
    while end < batch.logitRows.count, batch.logitRows[end] < first + rows { end += 1 }
    slab.logits = slab.logits.upperBound..<end
    for row in 0..<rows {
      weights.embed(batch.tokens[first + row], into: scratch.residual.base + row * model.embeddingSize)
    }
    plan.removeAll(&scratch)
    var row = 0
    while row < rows {
      let part = batch.segments[slab.segment]
      let count = min(part.tokenCount - slab.consumed, rows - row)
      let position = part.startPosition + slab.consumed
      for index in 0..<count {
        scratch.positions.base[row + index] = Int32(position + index)
        scratch.rowTables.base[row + index] = Int32(part.blockOffset)
      }
      plan.append(row: row, count: count, position: position, table: part.blockOffset, &scratch)
      row += count
      slab.consumed += count
      if slab.consumed == part.tokenCount {
        slab.segment += 1
        slab.consumed = 0
      }
    }
    plan.finish(&scratch)
    rotary.fill(scratch.positions.base, rows: rows, cosines: scratch.cosines.base, sines: scratch.sines.base)
    if model.slidingWindow != nil {
      localRotary.fill(
        scratch.positions.base, rows: rows, cosines: scratch.localCosines.base, sines: scratch.localSines.base)
    }
    return true
  }

  /// Runs the next part of a layer, and says whether it was the last one of all.
  ///
  /// - Parameter mostWork: of one thread, in attention, which comes in several parts where there is more of it.
  private func runPart(
    _ progress: inout LayerProgress, _ slab: Slab, of batch: ForwardBatch, mostWork: Int
  ) -> Bool {
    let (index, rows) = (progress.layer, slab.rows)
    let layer = weights.layers[index]
    let isLast = index == weights.layers.count - 1
    switch progress.part {
    case .input:
      if index == 0 { addAndNormalize(rows: rows, delta: nil, deltaNorm: nil, norm: layer.attentionNorm) }
      multiply(
        normalizedInput(rows), (layer.query, scratch.queries.base), (layer.key, scratch.keys.base),
        (layer.value, scratch.values.base))
      batch.blockTable.withUnsafeBufferPointer { store(layer, index, rows: rows, tables: $0.baseAddress) }
      // Nothing reads what the last layer gives for tokens without logits; its keys and values are stored.
      if isLast && slab.logits.isEmpty { return true }
      progress.part = .attention(done: 0)
    case .attention(let done):
      let tasks = plan.tasks(from: done, window: model.window(layer: index), mostWork: mostWork, scratch)
      batch.blockTable.withUnsafeBufferPointer { attend(index, tables: $0.baseAddress, tasks: tasks) }
      progress.part = tasks.upperBound == plan.taskCount ? .attentionOutput : .attention(done: tasks.upperBound)
    case .attentionOutput:
      multiply(
        quantizedAttention(rows), (layer.attentionOutput, scratch.delta.base))
      addAndNormalize(
        rows: rows, delta: scratch.delta.base, deltaNorm: layer.postAttentionNorm, norm: layer.feedForwardNorm)
      progress.part = .expansion
    case .expansion:
      multiply(normalizedInput(rows), (layer.gate, scratch.gate.base), (layer.up, scratch.up.base))
      progress.part = .contraction
    case .contraction:
      multiply(gatedInput(rows), (layer.down, scratch.delta.base))
      addAndNormalize(
        rows: rows, delta: scratch.delta.base, deltaNorm: layer.postFeedForwardNorm,
        norm: isLast ? nil : weights.layers[index + 1].attentionNorm)
      if isLast { return true }
      progress = LayerProgress(layer: index + 1, part: .input)
    }
    return false
  }

  /// The last norm and the output projection, for the rows whose logits are wanted.
  private mutating func project(_ slab: Slab, of batch: ForwardBatch) {
    guard !slab.logits.isEmpty else { return }
    let embedding = model.embeddingSize
    for (index, row) in batch.logitRows[slab.logits].enumerated() {
      (scratch.delta.base + index * embedding).update(
        from: scratch.residual.base + (row - slab.first) * embedding, count: embedding)
    }
    let rows = slab.logits.count
    normalize(rows: rows, residual: scratch.delta.base, delta: nil, deltaNorm: nil, norm: weights.outputNorm)
    let width = logitWidth(batch)
    // A matrix's tiles of rows lie one after the other, so that its first rows are a matrix, too.
    var output = weights.output.pointee
    output.rows = UInt32(width)
    output.tiles = (output.rows - 1) / UInt32(K_TILE_ROWS) + 1
    withUnsafePointer(to: output) {
      multiply(normalizedInput(rows), ($0, scratch.logits.base + slab.logits.lowerBound * width))
    }
  }
}

// MARK: - A pass in pieces

extension Transformer {
  /// Multiplications of one thread in a piece of attention, about: some tenths of a millisecond.
  private static let pieceWork = 10_000_000

  /// Begins a pass over the batch, which has been checked, in place of one under way.
  mutating func begin(_ batch: ForwardBatch) {
    pieces = PiecewisePass(batch: batch)
    scratch.logits.reserve(batch.logitRows.count * logitWidth(batch))
  }

  /// Runs the next piece of what was begun.
  ///
  /// - Returns: nil before the last; then `[logitRows, logitWidth]`, valid until the next call.
  mutating func advance() -> UnsafeBufferPointer<Float>? {
    guard var progress = pieces.progress else {
      let batch = pieces.batch
      var slab = pieces.slab
      if start(&slab, of: batch) { pieces.progress = LayerProgress() }
      pieces.slab = slab
      return nil
    }
    let isDone = runPart(&progress, pieces.slab, of: pieces.batch, mostWork: Self.pieceWork)
    pieces.progress = isDone ? nil : progress
    guard isDone else { return nil }
    project(pieces.slab, of: pieces.batch)
    return pieces.isLastSlab ? logits(pieces.batch) : nil
  }
}

// MARK: - The parts of a layer, each one job for the pool

extension Transformer {
  private typealias Product = (weights: UnsafePointer<k_matrix>, output: UnsafeMutablePointer<Float>)

  /// Few rows are not worth waking a thread for.
  private func isWorthSharing(_ rows: Int, columns: Int) -> Bool { rows * columns > 8_192 }

  /// Rows of a task.
  private func rowsPerTask(_ rows: Int, columns: Int) -> Int {
    isWorthSharing(rows, columns: columns) ? max(1, rows / (4 * pool.threadCount)) : rows
  }

  /// The same, cut between panels where rows are quantised too.
  private func panelRowsPerTask(_ rows: Int, columns: Int) -> Int {
    let perTask = rowsPerTask(rows, columns: columns)
    guard quantizes, perTask < rows else { return perTask }
    let panel = Int(K_PANEL_TOKENS)
    return (perTask - 1) / panel * panel + panel
  }

  /// Columns of a task that takes a panel's rows: about as many tasks as `rowsPerTask` makes, also of few long rows.
  private func columnsPerTask(_ rows: Int, columns: Int) -> Int {
    guard isWorthSharing(rows, columns: columns) else { return columns }
    let panels = (rows - 1) / Int(K_PANEL_TOKENS) + 1
    let parts = (4 * pool.threadCount - 1) / panels + 1
    return (columns - 1) / parts / 128 * 128 + 128
  }

  private func run<Job>(_ count: Int, _ task: k_task, _ job: Job) {
    withUnsafePointer(to: job) { pool.run(count, task, UnsafeRawPointer($0)) }
  }

  private func taskCount(_ rows: Int, _ rowsPerTask: UInt32) -> Int { (rows - 1) / Int(rowsPerTask) + 1 }

  private func input(
    _ values: UnsafeMutablePointer<Float>, rows: Int, columns: Int, outliers: UnsafePointer<k_outlier>? = nil
  ) -> k_activations {
    k_activations(
      values: values, panels: quantizes ? UnsafePointer(scratch.panels.base) : nil, outliers: outliers,
      tokens: UInt32(rows), columns: UInt32(columns))
  }

  private func normalizedInput(_ rows: Int) -> k_activations {
    input(
      scratch.normalized.base, rows: rows, columns: model.embeddingSize, outliers: UnsafePointer(scratch.outliers.base))
  }

  private func multiply(_ input: k_activations, _ first: Product, _ second: Product? = nil, _ third: Product? = nil) {
    var job = k_matmul_job()
    job.kernels = kernels
    job.input = input
    job.matrices = (first.weights, second?.weights, third?.weights)
    job.outputs = (first.output, second?.output, third?.output)
    job.strides = (
      Int(first.weights.pointee.rows), Int(second?.weights.pointee.rows ?? 0), Int(third?.weights.pointee.rows ?? 0)
    )
    job.matrix_count = third != nil ? 3 : second != nil ? 2 : 1
    let count = k_matmul_plan(&job, UInt32(pool.threadCount))
    run(count, k_matmul_task, job)
  }

  private func addAndNormalize(
    rows: Int, delta: UnsafeMutablePointer<Float>?, deltaNorm: UnsafePointer<Float>?, norm: UnsafePointer<Float>?
  ) {
    normalize(rows: rows, residual: scratch.residual.base, delta: delta, deltaNorm: deltaNorm, norm: norm)
  }

  private func normalize(
    rows: Int, residual: UnsafeMutablePointer<Float>, delta: UnsafeMutablePointer<Float>?,
    deltaNorm: UnsafePointer<Float>?, norm: UnsafePointer<Float>?
  ) {
    let perTask = UInt32(panelRowsPerTask(rows, columns: model.embeddingSize))
    let job = k_norm_job(
      kernels: kernels, rows: UInt32(rows), rows_per_task: perTask, columns: UInt32(model.embeddingSize),
      epsilon: model.normEpsilon, residual: residual, delta: delta, delta_weight: deltaNorm, weight: norm,
      output: scratch.normalized.base, panels: quantizes ? scratch.panels.base : nil, outliers: scratch.outliers.base)
    run(taskCount(rows, perTask), k_norm_task, job)
  }

  private func store(_ layer: LayerWeights, _ index: Int, rows: Int, tables: UnsafePointer<Int32>?) {
    let perTask = UInt32(rowsPerTask(rows, columns: model.headCount * model.headSize * 2))
    let isLocal = model.window(layer: index) != nil
    let job = k_store_job(
      kernels: kernels, rows: UInt32(rows), rows_per_task: perTask, heads: UInt32(model.headCount),
      kv_heads: UInt32(model.kvHeadCount), head_size: UInt32(model.headSize), epsilon: model.normEpsilon,
      query_scale: model.attentionScale,
      rope: model.rotaryPairs == .interleaved ? K_ROPE_INTERLEAVED : K_ROPE_HALVES,
      queries: scratch.queries.base, keys: scratch.keys.base, values: scratch.values.base,
      query_bias: layer.queryBias, key_bias: layer.keyBias, value_bias: layer.valueBias,
      query_norm: layer.queryNorm, key_norm: layer.keyNorm,
      cosines: isLocal ? scratch.localCosines.base : scratch.cosines.base,
      sines: isLocal ? scratch.localSines.base : scratch.sines.base,
      positions: scratch.positions.base, row_tables: scratch.rowTables.base, tables: tables, pool: placement.pool,
      block_bytes: placement.blockBytes, keys_offset: placement.keysOffset(layer: index),
      values_offset: placement.valuesOffset(layer: index), block_size: UInt32(placement.blockSize),
      dtype: placement.dtype)
    run(taskCount(rows, perTask), k_store_task, job)
  }

  /// Runs some of the tasks: one for each item and head of keys and values. The last ones bring splits together.
  private func attend(_ index: Int, tables: UnsafePointer<Int32>?, tasks: Range<Int>) {
    let attention = k_attention(
      queries: scratch.queries.base, output: scratch.attended.base, pool: placement.pool,
      block_bytes: placement.blockBytes, keys_offset: placement.keysOffset(layer: index),
      values_offset: placement.valuesOffset(layer: index), tables: tables, heads: UInt32(model.headCount),
      kv_heads: UInt32(model.kvHeadCount), head_size: UInt32(model.headSize), block_size: UInt32(placement.blockSize),
      window: UInt32(model.window(layer: index) ?? 0), dtype: placement.dtype, partials: scratch.partials.base)
    var job = k_attention_job(
      kernels: kernels, attention: attention, items: scratch.items.base, first: tasks.lowerBound,
      count: tasks.count, threads: pool.threadCount)
    run(tasks.count, k_attention_task, job)
    if plan.splitItemCount > 0, tasks.upperBound == plan.taskCount {
      job.items = UnsafePointer(scratch.splitItems.base)
      (job.first, job.count) = (0, plan.splitItemCount * model.kvHeadCount)
      run(job.count, k_attention_merge_task, job)
    }
  }

  private func quantizedAttention(_ rows: Int) -> k_activations {
    let columns = model.headCount * model.headSize
    if quantizes {
      let perTask = UInt32(columnsPerTask(rows, columns: columns))
      let job = k_quantize_job(
        kernels: kernels, rows: UInt32(rows), columns: UInt32(columns), columns_per_task: perTask,
        input: scratch.attended.base, panels: scratch.panels.base)
      run(k_panel_tasks(job.rows, job.columns, perTask), k_quantize_task, job)
    }
    return input(scratch.attended.base, rows: rows, columns: columns)
  }

  /// Applies the activation in place of the gate, and quantises.
  private func gatedInput(_ rows: Int) -> k_activations {
    let columns = model.feedForwardSize
    let perTask = UInt32(columnsPerTask(rows, columns: columns))
    let job = k_gate_job(
      kernels: kernels, rows: UInt32(rows), columns: UInt32(columns), columns_per_task: perTask,
      kind: model.activation == .silu ? K_GATE_SILU : K_GATE_GELU_TANH, gate: scratch.gate.base, up: scratch.up.base,
      output: scratch.gate.base, panels: quantizes ? scratch.panels.base : nil)
    run(k_panel_tasks(job.rows, job.columns, perTask), k_gate_task, job)
    return input(scratch.gate.base, rows: rows, columns: columns)
  }
}
