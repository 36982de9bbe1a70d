import CKernels
import Foundation
import ModelRuntime
import ServingTestKit
import Testing

/// Paged attention against a plain computation, and against itself cut in other ways.
struct AttentionTests {
  /// One sequence's keys and values in a shuffled pool, and its queries.
  struct Paged {
    var heads = 6
    var kvHeads = 2
    var size = 64
    var length: Int
    var blockSize = 16
    var dtype = K_KV_F16
    var window = 0
    var keys: [Float]
    var values: [Float]
    var queries: [Float]
    private var pool: [UInt8] = []
    private var table: [Int32] = []

    init(
      length: Int, heads: Int = 6, kvHeads: Int = 2, size: Int = 64, blockSize: Int = 16, dtype: k_kv_dtype = K_KV_F16,
      window: Int = 0, broken: (index: Int, value: Float, inKeys: Bool)? = nil
    ) throws {
      self.length = length
      self.heads = heads
      self.kvHeads = kvHeads
      self.size = size
      self.blockSize = blockSize
      self.dtype = dtype
      self.window = window
      keys = KernelTests.floats(length * kvHeads * size, seed: 21, scale: 2)
      values = KernelTests.floats(length * kvHeads * size, seed: 22)
      queries = KernelTests.floats(length * heads * size, seed: 23, scale: 2)
      if let broken {
        if broken.inKeys { keys[broken.index] = broken.value } else { values[broken.index] = broken.value }
      }
      try fillPool()
      // The plain computation has to see what the kernel sees.
      try keys.withUnsafeMutableBufferPointer { try StoredHead.round($0, size: size, dtype) }
      try values.withUnsafeMutableBufferPointer { try StoredHead.round($0, size: size, dtype) }
    }

    private var element: Int { k_kv_element_bytes(dtype) }
    private var codeBytes: Int { kvHeads * blockSize * size * element }
    private var planeBytes: Int { codeBytes + kvHeads * blockSize * k_kv_scale_bytes(dtype) }

    private mutating func fillPool() throws {
      let blocks = (length + blockSize - 1) / blockSize
      var random = SplitMix64(seed: 24)
      table = (0..<Int32(blocks)).shuffled(using: &random)
      pool = [UInt8](repeating: 0xff, count: blocks * 2 * planeBytes)
      let kernels = try KernelTests.kernels(.portable)
      let (planeBytes, codeBytes, element, blockSize, size) = (planeBytes, codeBytes, element, blockSize, size)
      for position in 0..<length {
        for head in 0..<kvHeads {
          let base = Int(table[position / blockSize]) * 2 * planeBytes
          let plane = base + head * blockSize * size * element
          let slot = position % blockSize
          let source = (position * kvHeads + head) * size
          pool.withUnsafeMutableBytes { pool in
            let start = pool.baseAddress! + plane
            let scale = pool.baseAddress! + base + codeBytes + 2 * (head * blockSize + slot)
            keys[source...].withUnsafeBufferPointer {
              kernels.store_column(
                dtype, $0.baseAddress, size, start + slot * element, blockSize,
                scale.assumingMemoryBound(to: UInt16.self))
            }
            values[source...].withUnsafeBufferPointer {
              kernels.store(
                dtype, $0.baseAddress, size, start + planeBytes + slot * size * element,
                (scale + planeBytes).assumingMemoryBound(to: UInt16.self))
            }
          }
        }
      }
    }

    /// Attends positions `range`, `tile` tokens a call; with `split`, each split on its own and then merged. With
    /// `announcing` each call is told what the next one attends.
    func attend(
      _ path: KernelPath, _ range: Range<Int>, tile: Int, split: Bool = false, announcing: Bool = false
    ) throws -> [Float] {
      let kernels = try KernelTests.kernels(path)
      var output = [Float](repeating: .nan, count: range.count * heads * size)
      let splits = (length + Int(K_ATTENTION_SPLIT) - 1) / Int(K_ATTENTION_SPLIT)
      var partials = [Float](repeating: .nan, count: tile * heads * splits * (size + 16))
      pool.withUnsafeBytes { pool in
        output.withUnsafeMutableBufferPointer { output in
          queries[(range.lowerBound * heads * size)...].withUnsafeBufferPointer { queries in
            partials.withUnsafeMutableBufferPointer { partials in
              table.withUnsafeBufferPointer { table in
                var attention = k_attention(
                  queries: queries.baseAddress, output: output.baseAddress,
                  pool: pool.baseAddress?.assumingMemoryBound(to: UInt8.self), block_bytes: 2 * planeBytes,
                  keys_offset: 0, values_offset: planeBytes, tables: table.baseAddress, heads: UInt32(heads),
                  kv_heads: UInt32(kvHeads), head_size: UInt32(size), block_size: UInt32(blockSize),
                  window: UInt32(window), dtype: dtype, partials: partials.baseAddress)
                var items: [k_attention_item] = []
                for first in stride(from: 0, to: range.count, by: tile) {
                  let count = min(tile, range.count - first)
                  let end = range.lowerBound + first + count
                  let splits = split ? (end + Int(K_ATTENTION_SPLIT) - 1) / Int(K_ATTENTION_SPLIT) : 1
                  for index in 0..<splits {
                    items.append(
                      k_attention_item(
                        token: UInt32(first), token_count: UInt32(count), position: UInt32(range.lowerBound + first),
                        table: 0, split: split ? UInt32(index) : UInt32.max, split_count: UInt32(splits), partial: 0))
                  }
                }
                for head in 0..<UInt32(kvHeads) {
                  for index in items.indices {
                    var item = items[index]
                    var next = items[(index + 1) % items.count]
                    let nextHead = (head + (index + 1 == items.count ? 1 : 0)) % UInt32(kvHeads)
                    if announcing {
                      kernels.attention(&attention, &item, head, &next, nextHead)
                    } else {
                      kernels.attention(&attention, &item, head, nil, 0)
                    }
                    if split, item.split + 1 == item.split_count { kernels.attention_merge(&attention, &item, head) }
                  }
                }
              }
            }
          }
        }
      }
      return output
    }

    /// The same in double precision, for one position and head.
    func exact(_ position: Int, head: Int) -> [Double] {
      let kvHead = head / (heads / kvHeads)
      let first = window > 0 ? max(0, position + 1 - window) : 0
      let query = queries[((position * heads + head) * size)...]
      let scores = (first...position).map { other in
        (0..<size).reduce(0.0) {
          $0 + Double(query[query.startIndex + $1]) * Double(keys[(other * kvHeads + kvHead) * size + $1])
        }
      }
      let largest = scores.max() ?? 0
      let weights = scores.map { exp($0 - largest) }
      let sum = weights.reduce(0, +)
      return (0..<size).map { d in
        weights.enumerated().reduce(0.0) { partial, entry in
          partial + entry.element / sum * Double(values[((first + entry.offset) * kvHeads + kvHead) * size + d])
        }
      }
    }
  }

  static let shapes: [(heads: Int, kvHeads: Int, size: Int)] = [(9, 3, 64), (4, 1, 256), (12, 2, 128), (7, 7, 80)]

  @Test(arguments: shapes, StoredHead.dtypes)
  func isRight(shape: (heads: Int, kvHeads: Int, size: Int), dtype: k_kv_dtype) throws {
    for window in [0, 100] { try isRight(shape, dtype, window: window) }
  }

  private func isRight(
    _ shape: (heads: Int, kvHeads: Int, size: Int), _ dtype: k_kv_dtype, window: Int
  ) throws {
    let paged = try Paged(
      length: 600, heads: shape.heads, kvHeads: shape.kvHeads, size: shape.size, dtype: dtype, window: window)
    for position in [0, 1, 15, 63, 64, 255, 256, 300, 599] {
      let output = try paged.attend(.best, position..<position + 1, tile: 1)
      for head in 0..<shape.heads {
        for (index, value) in paged.exact(position, head: head).enumerated() {
          #expect(abs(Double(output[head * shape.size + index]) - value) < 1e-5, "position \(position) head \(head)")
        }
      }
    }
  }

  /// The pool is full of NaN wherever nothing is stored, so what lies behind the last position must not be used.
  @Test(arguments: [0, 1, 100, 300], StoredHead.dtypes)
  func doesNotDependOnHowItIsCut(window: Int, dtype: k_kv_dtype) throws {
    let paged = try Paged(length: 530, dtype: dtype, window: window)
    let whole = try paged.attend(.portable, 480..<530, tile: 10)
    #expect(!whole.contains { !$0.isFinite })
    for path in KernelPath.allCases.filter(\.isSupported) {
      // With three queries a token: on both sides of every limit between the ways to read.
      for tile in [1, 2, 3, 4, 5, 7, 8, 9, 10, 21] {
        #expect(try paged.attend(path, 480..<530, tile: tile) == whole)
        #expect(try paged.attend(path, 480..<530, tile: tile, split: true) == whole)
        #expect(try paged.attend(path, 480..<530, tile: tile, announcing: true) == whole)
        #expect(try paged.attend(path, 480..<530, tile: tile, split: true, announcing: true) == whole)
      }
    }
    for blockSize in [8, 9, 17, 24, 32, 48, 63, 64] {
      let other = try Paged(length: 530, blockSize: blockSize, dtype: dtype, window: window)
      for tile in [1, 7] {
        #expect(try other.attend(.best, 480..<530, tile: tile) == whole, "blocks of \(blockSize)")
        #expect(try other.attend(.best, 480..<530, tile: tile, announcing: true) == whole, "blocks of \(blockSize)")
      }
    }
  }

  /// What is not finite reaches the output of its own query, and of no other.
  @Test(arguments: [Float.nan, .infinity, -.infinity])
  func whatIsNotFiniteStaysSo(value: Float) throws {
    var paged = try Paged(length: 300)
    let sound = try paged.attend(.portable, 280..<300, tile: 10)
    let bad = (283 * paged.heads + 4) * paged.size
    paged.queries[bad + 7] = value
    for path in KernelPath.allCases.filter(\.isSupported) {
      for (tile, split) in [(1, false), (4, true), (20, false)] {
        let output = try paged.attend(path, 280..<300, tile: tile, split: split)
        for first in stride(from: 0, to: output.count, by: paged.size) {
          let head = output[first..<first + paged.size]
          let isBad = first + 280 * paged.heads * paged.size == bad
          #expect(isBad ? !head.contains { $0.isFinite } : head == sound[first..<first + paged.size])
        }
      }
    }
  }

  /// Every size of a register tile, and its remainders along positions and head size.
  @Test(arguments: 1...8, [16, 64, 80, 96, 128, 256])
  func headsAndSizes(group: Int, size: Int) throws {
    for dtype in [K_KV_F16, K_KV_FP8, K_KV_INT8] { try headsAndSizes(group, size, dtype) }
  }

  private func headsAndSizes(_ group: Int, _ size: Int, _ dtype: k_kv_dtype) throws {
    let paged = try Paged(length: 291, heads: 2 * group, kvHeads: 2, size: size, dtype: dtype)
    let most = min(Int(K_ATTENTION_QUERIES), Int(K_ATTENTION_STATE) / size) / group
    let expected = try paged.attend(.portable, 279..<291, tile: most)
    #expect(!expected.contains { !$0.isFinite })
    for path in KernelPath.allCases.filter(\.isSupported) {
      for tile in [1, 2, most] { #expect(try paged.attend(path, 279..<291, tile: tile) == expected, "\(path)") }
    }
    // Contexts that end anywhere in a group of positions.
    for length in stride(from: 1, to: 80, by: 13) {
      let alone = try paged.attend(.best, length - 1..<length, tile: 1)
      #expect(try paged.attend(.portable, length - 1..<length, tile: 1) == alone)
      #expect(try paged.attend(.best, 0..<length, tile: most).suffix(alone.count) == alone[...])
    }
  }

  /// NaN shows in the output, whatever it is stored as; codes that have no infinity let that show too.
  @Test(arguments: StoredHead.dtypes)
  func keepsNaNVisible(dtype: k_kv_dtype) throws {
    for broken in k_kv_scale_bytes(dtype) > 0 ? [Float.nan, .infinity, -.infinity] : [.nan] {
      for inKeys in [true, false] {
        let paged = try Paged(length: 40, dtype: dtype, broken: (5 * 2 * 64 + 7, broken, inKeys))
        let output = try paged.attend(.best, 39..<40, tile: 1)
        #expect(output.contains { !$0.isFinite }, "\(broken) in the \(inKeys ? "keys" : "values")")
      }
    }
  }
}
