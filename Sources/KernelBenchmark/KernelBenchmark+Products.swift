import CKernels
import ModelRuntime
import ServingTypes

/// Products of weights and activations.
extension KernelBenchmark {
  private struct Shape {
    var type: k_type
    var name: String
    var rows: Int
    var columns: Int
    /// A vocabulary: only sampled tokens are multiplied with it.
    var isVocabulary: Bool { rows > 40_000 }

    init(_ type: k_type, _ name: String, _ rows: Int, _ columns: Int) {
      self.type = type
      self.name = name
      self.rows = rows
      self.columns = columns
    }
  }

  /// The tensors of SmolLM2-135M, Qwen2.5 0.5B and 1.5B; formats that none of them has, at one size.
  private static let shapes = [
    Shape(K_TYPE_Q4_1, "q4_1", 576, 576), Shape(K_TYPE_Q4_1, "q4_1", 1536, 576), Shape(K_TYPE_Q4_1, "q4_1", 576, 1536),
    Shape(K_TYPE_Q8_0, "q8_0", 49152, 576),
    Shape(K_TYPE_Q5_0, "q5_0", 896, 896), Shape(K_TYPE_Q5_0, "q5_0", 4864, 896), Shape(K_TYPE_Q6_K, "q6_k", 896, 4864),
    Shape(K_TYPE_Q4_K, "q4_k", 1536, 1536), Shape(K_TYPE_Q4_K, "q4_k", 8960, 1536),
    Shape(K_TYPE_Q4_K, "q4_k", 1536, 8960), Shape(K_TYPE_Q6_K, "q6_k", 1536, 8960),
    Shape(K_TYPE_Q6_K, "q6_k", 151936, 1536),
    Shape(K_TYPE_Q4_0, "q4_0", 1536, 1536), Shape(K_TYPE_Q5_1, "q5_1", 1536, 1536),
    Shape(K_TYPE_Q8_0, "q8_0", 1536, 1536), Shape(K_TYPE_Q5_K, "q5_k", 1536, 1536),
    Shape(K_TYPE_F16, "f16", 1536, 1536), Shape(K_TYPE_BF16, "bf16", 1536, 1536), Shape(K_TYPE_F32, "f32", 1536, 1536),
  ]

  func products() throws(ServingError) {
    for shape in Self.shapes {
      let tokens = shape.isVocabulary ? [1, 8, 14, 32] : [1, 4, 8, 14, 32, 256]
      let wanted = tokens.filter { wants(Self.name(shape, tokens: $0)) }
      guard !wanted.isEmpty else { continue }
      let copies = try PackedCopies(shape.type, rows: shape.rows, columns: shape.columns, pool: pool)
      for count in wanted { try product(shape, copies, tokens: count) }
    }
  }

  private static func name(_ shape: Shape, tokens: Int) -> String {
    "matmul \(shape.name) \(shape.rows)×\(shape.columns), \(tokens) tokens"
  }

  private func product(_ shape: Shape, _ copies: PackedCopies, tokens: Int) throws(ServingError) {
    let values = try BenchmarkMemory.floats(tokens * shape.columns, seed: 3)
    let panelCount = k_panel_count(tokens, shape.columns)
    let panelMemory = try BenchmarkMemory(panelCount * MemoryLayout<k_panel>.stride)
    let output = try BenchmarkMemory(tokens * shape.rows * 4)
    let panels = panelMemory.base.bindMemory(to: k_panel.self, capacity: panelCount)
    let input = values.floats(tokens * shape.columns)
    for token in 0..<tokens {
      kernels.pointee.quantize(
        input + token * shape.columns, shape.columns, panels + k_panel_index(token, shape.columns),
        token % Int(K_PANEL_TOKENS), nil)
    }

    let isQuantized = k_format_is_quantized(copies.next().pointee.format) != 0
    var job = k_matmul_job()
    job.kernels = kernels
    job.input = k_activations(
      values: input, panels: isQuantized ? UnsafePointer(panels) : nil, outliers: nil, tokens: UInt32(tokens),
      columns: UInt32(shape.columns))
    job.outputs.0 = output.floats(tokens * shape.rows)
    job.strides.0 = shape.rows
    job.matrix_count = 1
    let timing = Timing.measure {
      job.matrices.0 = copies.next()
      let count = k_matmul_plan(&job, UInt32(pool.threadCount))
      run(count, job) { k_matmul_task($0, $1) }
    }
    add(
      KernelRow(
        Self.name(shape, tokens: tokens), timing, bytes: (Double(copies.bytes), .memory),
        operations: (2 * Double(tokens * shape.rows * shape.columns), isQuantized ? .int8 : .f32)))
  }
}
