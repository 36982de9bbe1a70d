import CKernels
import Glibc
import ServingTypes

/// Collects a model's tensors, checks each one's shape and type, then packs them all in parallel.
struct WeightsBuilder {
  private struct Packing {
    var matrix: Int
    var type: k_type
    var source: UnsafeRawPointer
    var tiles: Range<UInt32>
    /// The rows of `source` that are packed.
    var bytes: UnsafeRawBufferPointer
  }

  private static let tilesPerTask: UInt32 = 16
  /// Bytes of the file that may be in memory beside what was packed of them.
  private static let unpackedBytes = 32 << 20

  let file: GGUFFile
  private var planned: [k_matrix] = []
  private var packings: [Packing] = []
  private(set) var vectors: [UnsafeMutableBufferPointer<Float>] = []

  init(file: GGUFFile) { self.file = file }

  /// Plans a matrix of `rows` × `columns` and returns its index.
  mutating func matrix(_ name: String, rows: Int, columns: Int) throws(ServingError) -> Int {
    let tensor = try file.tensor(name)
    try check(tensor, [columns, rows])
    let source = try bytes(of: tensor)
    let type = k_type(rawValue: tensor.type.rawValue)
    var matrix = k_matrix()
    guard k_matrix_plan(type, UInt32(rows), UInt32(columns), &matrix) != 0 else {
      throw ServingError(
        .unimplemented,
        "\(file.name): tensor \"\(name)\" has rows of \(columns) as \(tensor.type), which the kernels cannot multiply")
    }
    planned.append(matrix)
    var first: UInt32 = 0
    while first < matrix.tiles {
      let end = min(first + Self.tilesPerTask, matrix.tiles)
      let firstByte = Int(first) * Int(K_TILE_ROWS) * tensor.rowBytes
      let endByte = min(Int(end) * Int(K_TILE_ROWS) * tensor.rowBytes, tensor.byteCount)
      packings.append(
        Packing(
          matrix: planned.count - 1, type: type, source: source, tiles: first..<end,
          bytes: UnsafeRawBufferPointer(start: source + firstByte, count: endByte - firstByte)))
      first = end
    }
    return planned.count - 1
  }

  /// Reads a vector as `f32`.
  mutating func vector(_ name: String, count: Int) throws(ServingError) -> UnsafePointer<Float> {
    let tensor = try file.tensor(name)
    try check(tensor, [count])
    let source = try bytes(of: tensor)
    let buffer = UnsafeMutableBufferPointer<Float>.allocate(capacity: count)
    buffer.initialize(repeating: 0)
    vectors.append(buffer)
    guard let base = buffer.baseAddress else { throw ServingError(.internalError, "tensor \"\(name)\" is empty") }
    k_dequantize(k_type(rawValue: tensor.type.rawValue), source, count, base)
    return UnsafePointer(base)
  }

  mutating func optionalVector(_ name: String, count: Int) throws(ServingError) -> UnsafePointer<Float>? {
    file.optionalTensor(name) == nil ? nil : try vector(name, count: count)
  }

  /// Packs all matrices into one mapping, on all of the pool's threads, and lets go of the file's pages as it goes: the
  /// model is never in memory twice.
  func pack(on pool: ThreadPool) throws(ServingError) -> PackedMatrices {
    let packed = try PackedMatrices(planned)
    var first = 0
    while first < packings.count {
      var end = first
      var bytes = 0
      while end < packings.count, bytes < Self.unpackedBytes {
        bytes += packings[end].bytes.count
        end += 1
      }
      let offset = first
      pool.parallel(end - first) { index in
        let packing = packings[offset + index]
        k_matrix_pack(
          packed.matrix(packing.matrix), packing.type, packing.source, packing.tiles.lowerBound,
          packing.tiles.upperBound)
      }
      for packing in packings[first..<end] { file.storage.release(packing.bytes) }
      first = end
    }
    return packed
  }

  /// Frees the vectors of a model that could not be read to the end.
  func discard() {
    for vector in vectors { vector.deallocate() }
  }

  private func check(_ tensor: GGUFTensorInfo, _ expected: [Int]) throws(ServingError) {
    guard tensor.dimensions == expected else {
      throw ServingError(
        .dataLoss,
        "\(file.name): tensor \"\(tensor.name)\" has the dimensions \(tensor.dimensions); \(expected) are expected")
    }
  }

  private func bytes(of tensor: GGUFTensorInfo) throws(ServingError) -> UnsafeRawPointer {
    guard let base = try file.bytes(of: tensor).baseAddress else {
      throw ServingError(.dataLoss, "\(file.name): tensor \"\(tensor.name)\" is empty")
    }
    return base
  }
}
