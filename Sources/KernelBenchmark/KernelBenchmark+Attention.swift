import CKernels
import ModelRuntime
import ServingTypes

/// Attention over a paged pool of `f16` keys and values.
extension KernelBenchmark {
  private struct Heads {
    var name: String
    var heads: Int
    var kvHeads: Int
    var size: Int
  }

  private static let blockSize = 16
  private static let models = [
    Heads(name: "SmolLM2", heads: 9, kvHeads: 3, size: 64), Heads(name: "Qwen 1.5B", heads: 12, kvHeads: 2, size: 128),
    Heads(name: "gemma 3", heads: 4, kvHeads: 1, size: 256),
  ]

  func attention() throws(ServingError) {
    for model in Self.models {
      for depth in [208, 512, 2048, 4096] {
        for (tokens, batch, kind) in [
          (1, 1, "decode"), (1, 8, "decode"), (4, 1, "chunk"), (8, 1, "chunk"), (256, 1, "prefill"),
        ] {
          let size = "head \(model.size) (\(model.heads)/\(model.kvHeads))"
          let name = "attention \(kind) \(size), depth \(depth), \(batch == 1 ? "\(tokens)" : "\(batch)") tokens"
          guard tokens <= depth, wants(name) else { continue }
          try attention(name, model, depth: depth, tokens: tokens, batch: batch)
        }
      }
    }
  }

  /// The last `tokens` positions of `batch` sequences of `depth` tokens, at each call others.
  private func attention(
    _ name: String, _ model: Heads, depth: Int, tokens: Int, batch: Int
  ) throws(ServingError) {
    let plane = model.kvHeads * Self.blockSize * model.size * 2
    let blocks = depth / Self.blockSize
    let groups = max(1, PackedCopies.coldBytes / (2 * plane * blocks * batch))
    let pool = try Self.fill(bytes: groups * batch * blocks * 2 * plane)
    let rows = tokens * batch
    let queries = try BenchmarkMemory.floats(rows * model.heads * model.size, seed: 7)
    let output = try BenchmarkMemory(rows * model.heads * model.size * 4)
    let splits = (depth + Int(K_ATTENTION_SPLIT) - 1) / Int(K_ATTENTION_SPLIT)
    let partials = try BenchmarkMemory(rows * model.heads * splits * (model.size + 16) * 4)
    let tables = Self.shuffled(groups * batch * blocks)
    let (items, whole) = items(model, depth: depth, tokens: tokens, batch: batch, blocks: blocks, splits: splits)
    var turn = 0
    let timing = tables.withUnsafeBufferPointer { tables in
      items.withUnsafeBufferPointer { items in
        whole.withUnsafeBufferPointer { whole in
          Timing.measure {
            turn = turn + 1 == groups ? 0 : turn + 1
            let attention = k_attention(
              queries: queries.floats(rows * model.heads * model.size),
              output: output.floats(rows * model.heads * model.size),
              pool: UnsafePointer(pool.base.assumingMemoryBound(to: UInt8.self)), block_bytes: 2 * plane,
              keys_offset: 0, values_offset: plane, tables: tables.baseAddress! + turn * batch * blocks,
              heads: UInt32(model.heads), kv_heads: UInt32(model.kvHeads), head_size: UInt32(model.size),
              block_size: UInt32(Self.blockSize), window: 0, dtype: K_KV_F16,
              partials: partials.base.assumingMemoryBound(to: Float.self))
            var job = k_attention_job(
              kernels: kernels, attention: attention, items: items.baseAddress, first: 0,
              count: items.count * model.kvHeads, threads: self.pool.threadCount)
            run(items.count * model.kvHeads, job) { k_attention_task($0, $1) }
            guard !whole.isEmpty else { return }
            job.items = whole.baseAddress
            job.count = whole.count * model.kvHeads
            run(job.count, job) { k_attention_merge_task($0, $1) }
          }
        }
      }
    }
    // Each query sees the positions up to its own: two operations an element of the keys, two of the values.
    let seen = Double(tokens) * (Double(depth) - Double(tokens - 1) / 2)
    add(
      KernelRow(
        name, timing, bytes: (Double(batch * blocks * 2 * plane), .memory),
        operations: (4 * seen * Double(batch * model.heads * model.size), .f32)))
  }

  /// Tiles of tokens as a step cuts them, and with few of them the single splits; then the items to merge.
  private func items(
    _ model: Heads, depth: Int, tokens: Int, batch: Int, blocks: Int, splits: Int
  ) -> (items: [k_attention_item], merged: [k_attention_item]) {
    let queries = min(Int(K_ATTENTION_QUERIES), Int(K_ATTENTION_STATE) / model.size)
    let tile = max(1, queries / (model.heads / model.kvHeads))
    var items: [k_attention_item] = []
    for sequence in 0..<batch {
      for first in stride(from: 0, to: tokens, by: tile) {
        items.append(
          k_attention_item(
            token: UInt32(sequence * tokens + first), token_count: UInt32(min(tile, tokens - first)),
            position: UInt32(depth - tokens + first), table: UInt32(sequence * blocks), split: UInt32.max,
            split_count: 1, partial: 0))
      }
    }
    guard pool.threadCount > 1, splits > 1, items.count * model.kvHeads < 4 * pool.threadCount else {
      return (items, [])
    }
    var single: [k_attention_item] = []
    for index in items.indices {
      items[index].split_count = UInt32(splits)
      items[index].partial = UInt32(index * model.heads * splits)
      for split in 0..<splits {
        var item = items[index]
        item.split = UInt32(split)
        single.append(item)
      }
    }
    return (single, items)
  }

  private static func fill(bytes: Int) throws(ServingError) -> BenchmarkMemory {
    let memory = try BenchmarkMemory(bytes)
    var noise = Noise(seed: 11)
    let pattern = min(bytes / 2, 1 << 16)
    let values = memory.base.bindMemory(to: UInt16.self, capacity: pattern)
    for index in 0..<pattern { values[index] = k_float_to_half(noise.unit()) }
    var filled = pattern * 2
    while filled < bytes {
      let count = min(filled, bytes - filled)
      (memory.base + filled).copyMemory(from: memory.base, byteCount: count)
      filled += count
    }
    return memory
  }

  /// Block ids in no order, as a pool gives them out after a while.
  private static func shuffled(_ count: Int) -> [Int32] {
    var noise = Noise(seed: 13)
    var ids = (0..<Int32(count)).map { $0 }
    for index in stride(from: count - 1, to: 0, by: -1) { ids.swapAt(index, Int(noise.next()) % (index + 1)) }
    return ids
  }
}
