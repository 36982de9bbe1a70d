import CKernels
import ModelRuntime
import ServingTypes

/// A packed matrix of random weights, as often as it takes to be out of the caches, as a model's other weights would push
/// it out: `next` gives another copy each time.
final class PackedCopies {
  /// More than the last cache of the machines in question.
  static let coldBytes = 160 << 20

  let bytes: Int
  private let memory: BenchmarkMemory
  private let matrices: UnsafeMutableBufferPointer<k_matrix>
  private var turn = 0

  init(_ type: k_type, rows: Int, columns: Int, pool: ThreadPool) throws(ServingError) {
    var matrix = k_matrix()
    guard k_matrix_plan(type, UInt32(rows), UInt32(columns), &matrix) != 0 else {
      throw ServingError(.invalidArgument, "\(rows) × \(columns) of type \(type.rawValue) cannot be packed")
    }
    bytes = k_matrix_bytes(&matrix)
    let stride = (bytes + 4095) / 4096 * 4096
    let copies = (Self.coldBytes + stride - 1) / stride
    memory = try BenchmarkMemory(copies * stride)
    matrices = .allocate(capacity: copies)
    for copy in 0..<copies {
      k_matrix_bind(&matrix, memory.base + copy * stride)
      matrices.initializeElement(at: copy, to: matrix)
    }
    try pack(type, rows: rows, columns: columns, pool)
    for copy in 1..<max(copies, 1) {
      (memory.base + copy * stride).copyMemory(from: memory.base, byteCount: bytes)
    }
  }

  deinit { matrices.deallocate() }

  func next() -> UnsafePointer<k_matrix> {
    turn = turn + 1 == matrices.count ? 0 : turn + 1
    return UnsafePointer(matrices.baseAddress! + turn)
  }

  private func pack(_ type: k_type, rows: Int, columns: Int, _ pool: ThreadPool) throws(ServingError) {
    let blockBytes = k_type_block_bytes(type)
    let blocks = rows * columns / k_type_block_elements(type)
    let source = try BenchmarkMemory(blocks * blockBytes)
    Self.fill(source, type, blocks: blocks, blockBytes: blockBytes)
    let matrix = matrices[0]
    let parts = min(Int(matrix.tiles), pool.threadCount * 8)
    pool.parallel(parts) { part in
      let tiles = Int(matrix.tiles)
      withUnsafePointer(to: matrix) {
        k_matrix_pack($0, type, source.base, UInt32(tiles * part / parts), UInt32(tiles * (part + 1) / parts))
      }
    }
  }

  /// Random codes and small scales: no infinities, no denormals.
  private static func fill(_ memory: BenchmarkMemory, _ type: k_type, blocks: Int, blockBytes: Int) {
    let pattern = min(blocks, 4099)
    var noise = Noise(seed: 5)
    for index in 0..<pattern {
      let block = memory.base + index * blockBytes
      for byte in 0..<blockBytes {
        block.storeBytes(of: UInt8(truncatingIfNeeded: noise.next()), toByteOffset: byte, as: UInt8.self)
      }
      switch type {
      case K_TYPE_F32: block.storeBytes(of: noise.unit(), as: Float.self)
      case K_TYPE_F16: block.storeBytes(of: k_float_to_half(noise.unit()), as: UInt16.self)
      case K_TYPE_BF16: block.storeBytes(of: UInt16(noise.unit().bitPattern >> 16), as: UInt16.self)
      case K_TYPE_Q6_K: block.storeBytes(of: k_float_to_half(0.001), toByteOffset: 208, as: UInt16.self)
      default:
        block.storeBytes(of: k_float_to_half(0.01), as: UInt16.self)
        if blockBytes > 34 || type == K_TYPE_Q4_1 || type == K_TYPE_Q5_1 {
          block.storeBytes(of: k_float_to_half(0.02), toByteOffset: 2, as: UInt16.self)
        }
      }
    }
    var filled = pattern
    while filled < blocks {
      let count = min(filled, blocks - filled)
      (memory.base + filled * blockBytes).copyMemory(from: memory.base, byteCount: count * blockBytes)
      filled += count
    }
  }
}
