import CKernels
import ServingTypes

/// Kernels that go over rows: on one thread each its own rows, which stay in the second cache.
extension KernelBenchmark {
  private static let columns = 1536
  private static let rows = 16

  func elementwise() throws(ServingError) {
    let count = Self.rows * Self.columns
    let threads = pool.threadCount
    let input = try BenchmarkMemory.floats(count * threads, seed: 17)
    let other = try BenchmarkMemory.floats(count * threads, seed: 19)
    let output = try BenchmarkMemory(count * threads * 4)
    let panelCount = k_panel_count(Self.rows * threads, Self.columns)
    let panelMemory = try BenchmarkMemory(panelCount * MemoryLayout<k_panel>.stride)
    let (x, y) = (input.floats(count * threads), other.floats(count * threads))
    let out = output.floats(count * threads)
    let panels = panelMemory.base.bindMemory(to: k_panel.self, capacity: panelCount)
    let k = kernels.pointee
    let columns = Self.columns
    let float = 4.0
    let code = Double(MemoryLayout<k_panel>.stride) / 32 / Double(K_PANEL_TOKENS)

    row("rms_norm", bytes: 2 * float) { k.rms_norm(x + $0, y, 1e-5, columns, out + $0) }
    row("quantize", bytes: float + code) { offset in
      let row = offset / columns
      k.quantize(x + offset, columns, panels + k_panel_index(row, columns), row % Int(K_PANEL_TOKENS), nil)
    }
    row("gate silu", bytes: 3 * float) { k.gate(K_GATE_SILU, x + $0, y + $0, columns, out + $0) }
    row("gate gelu", bytes: 3 * float) { k.gate(K_GATE_GELU_TANH, x + $0, y + $0, columns, out + $0) }
    for (kind, name) in [(K_ROPE_INTERLEAVED, "interleaved"), (K_ROPE_HALVES, "halves")] {
      // Cosines and sines of one position do for all of a row's heads; 0.6 and 0.8 keep the rotated values' size.
      let angles = UnsafeMutablePointer<Float>.allocate(capacity: 128)
      defer { angles.deallocate() }
      for index in 0..<64 { (angles[index], angles[64 + index]) = (0.6, 0.8) }
      row("rope \(name), head 128", bytes: 2 * float) { offset in
        for head in stride(from: 0, to: columns, by: 128) {
          k.rope(kind, out + offset + head, angles, angles + 64, 128)
        }
      }
    }
    let dtypes = [
      (K_KV_F16, "f16", 2), (K_KV_BF16, "bf16", 2), (K_KV_F32, "f32", 4), (K_KV_FP8, "fp8", 1), (K_KV_INT8, "int8", 1),
    ]
    for (dtype, name, size) in dtypes {
      row("store \(name), head 128", bytes: float + Double(size)) { offset in
        var scale: UInt16 = 0
        for head in stride(from: 0, to: columns, by: 128) {
          k.store(dtype, x + offset + head, 128, output.base + (offset + head) * size, &scale)
        }
      }
    }
  }

  /// `body` handles the row that starts at the element that it is given.
  private func row(_ name: String, bytes: Double, _ body: (Int) -> Void) {
    let name = "\(name), \(Self.columns) columns"
    guard wants(name) else { return }
    let passes = 16
    let timing = Timing.measure {
      pool.parallel(pool.threadCount) { thread in
        for _ in 0..<passes {
          for row in 0..<Self.rows { body((thread * Self.rows + row) * Self.columns) }
        }
      }
    }
    let each = Double(passes * Self.rows * pool.threadCount)
    let perRow = Timing(
      best: timing.best / each, median: timing.median / each, samples: timing.samples)
    add(KernelRow(name, perRow, bytes: (bytes * Double(Self.columns), .l2)))
  }
}
