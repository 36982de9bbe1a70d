import CKernels
import Foundation
import ModelRuntime
import ServingTestKit
import Testing

/// Matrix products of every weight type, on every path.
struct MatmulTests {
  /// A packed matrix and its weights as `f32`.
  final class Packed {
    var matrix = k_matrix()
    let weights: [Float]
    let rows: Int
    let columns: Int
    private let memory: UnsafeMutableRawPointer

    init(_ type: GGUFTensorType, rows: Int, columns: Int, seed: UInt64) throws {
      var random = SplitMix64(seed: seed)
      let bytes = RandomTensor.bytes(type, count: rows * columns, using: &random)
      let raw = k_type(rawValue: type.rawValue)
      var weights = [Float](repeating: 0, count: rows * columns)
      k_dequantize(raw, bytes, weights.count, &weights)
      self.weights = weights
      self.rows = rows
      self.columns = columns
      try #require(k_matrix_plan(raw, UInt32(rows), UInt32(columns), &matrix) == 1)
      memory = .allocate(byteCount: k_matrix_bytes(&matrix), alignment: 64)
      k_matrix_bind(&matrix, memory)
      k_matrix_pack(&matrix, raw, bytes, 0, matrix.tiles)
    }

    deinit { memory.deallocate() }
  }

  /// Activations with their quantised form, each token's by itself.
  struct Activations {
    var values: [Float]
    var codes: [Int8]
    var scales: [k_block_scale]
    var outliers: [k_outlier]
    var tokens: Int
    var columns: Int

    init(_ values: [Float], tokens: Int) throws {
      self.values = values
      self.tokens = tokens
      columns = values.count / tokens
      codes = [Int8](repeating: 0, count: values.count)
      scales = [k_block_scale](repeating: .init(), count: values.count / 32)
      outliers = [k_outlier](repeating: .init(), count: tokens)
      let kernels = try KernelTests.kernels(.portable)
      for token in 0..<tokens {
        let row = token * columns
        values.withUnsafeBufferPointer { values in
          codes.withUnsafeMutableBufferPointer { codes in
            scales.withUnsafeMutableBufferPointer { scales in
              kernels.quantize(
                values.baseAddress! + row, columns, codes.baseAddress! + row, scales.baseAddress! + row / 32,
                &outliers[token])
            }
          }
        }
      }
    }

    func multiply(
      _ packed: Packed, _ path: KernelPath, quantized: Bool, tokens range: Range<Int>? = nil
    ) throws -> [Float] {
      let kernels = try KernelTests.kernels(path)
      let range = range ?? 0..<tokens
      var output = [Float](repeating: .nan, count: range.count * packed.rows)
      values[(range.lowerBound * columns)...].withUnsafeBufferPointer { values in
        codes[(range.lowerBound * columns)...].withUnsafeBufferPointer { codes in
          scales[(range.lowerBound * columns / 32)...].withUnsafeBufferPointer { scales in
            outliers[range.lowerBound...].withUnsafeBufferPointer { outliers in
              var input = k_activations(
                values: values.baseAddress, codes: codes.baseAddress, scales: scales.baseAddress,
                outliers: outliers.baseAddress, tokens: UInt32(range.count), columns: UInt32(columns))
              let product = quantized ? kernels.matmul_int8 : kernels.matmul_float
              product?(&packed.matrix, &input, 0, packed.matrix.tiles, &output, packed.rows)
            }
          }
        }
      }
      return output
    }
  }

  @Test(arguments: KernelPath.allCases.filter(\.isSupported), RandomTensor.types)
  func packingKeepsEachWeight(path: KernelPath, type: GGUFTensorType) throws {
    let packed = try Packed(type, rows: 37, columns: 512, seed: 11)
    for column in [0, 1, 15, 16, 31, 32, 130, 255, 256, 300, 511] {
      var unit = [Float](repeating: 0, count: 512)
      unit[column] = 1
      let output = try Activations(unit, tokens: 1).multiply(packed, path, quantized: false)
      #expect(output == (0..<37).map { packed.weights[$0 * 512 + column] })
    }
  }

  @Test(arguments: KernelTests.paths, RandomTensor.types)
  func pathsAgreeBitForBit(path: KernelPath, type: GGUFTensorType) throws {
    for (rows, columns) in [(16, 256), (37, 768), (5, 512)] {
      let packed = try Packed(type, rows: rows, columns: columns, seed: 12)
      let input = try Activations(KernelTests.floats(13 * columns, seed: 13, scale: 3), tokens: 13)
      for quantized in [true, false] {
        let expected = try input.multiply(packed, .portable, quantized: quantized)
        #expect(try input.multiply(packed, path, quantized: quantized) == expected)
        #expect(!expected.contains { !$0.isFinite })
        // A token's result must not depend on how many tokens the call handles.
        for tokens in [0..<1, 3..<5, 2..<9, 5..<13] {
          let part = try input.multiply(packed, path, quantized: quantized, tokens: tokens)
          #expect(part == Array(expected[tokens.lowerBound * rows..<tokens.upperBound * rows]))
        }
      }
    }
  }

  /// The largest codes and scales: where 16-bit sums would overflow first.
  @Test(arguments: KernelPath.allCases.filter(\.isSupported), RandomTensor.types)
  func extremesDoNotOverflow(path: KernelPath, type: GGUFTensorType) throws {
    let packed = try Packed(type, rows: 48, columns: 256, seed: 14)
    for sign in [Float(1), -1] {
      // The first column is the outlier, whose code is 0: only its own block has one code less than the largest.
      let input = try Activations([Float](repeating: sign, count: 256), tokens: 1)
      let output = try input.multiply(packed, path, quantized: true)
      for row in 0..<48 {
        let weights = packed.weights[row * 256..<(row + 1) * 256].map(Double.init)
        let exact = Double(sign) * weights.reduce(0, +)
        #expect(abs(Double(output[row]) - exact) <= 1e-4 * (1 + weights.reduce(0) { $0 + abs($1) }))
      }
    }
  }

  @Test(arguments: RandomTensor.types)
  func productsAreRight(type: GGUFTensorType) throws {
    let packed = try Packed(type, rows: 37, columns: 768, seed: 15)
    let input = try Activations(KernelTests.floats(3 * 768, seed: 16), tokens: 3)
    for quantized in [true, false] {
      let output = try input.multiply(packed, .best, quantized: quantized)
      for token in 0..<3 {
        for row in 0..<37 {
          var exact = 0.0
          var size = 0.0
          for column in 0..<768 {
            let index = token * 768 + column
            let isFloat = [.f32, .f16, .bf16].contains(type)
            let isExact = !quantized || isFloat || input.outliers[token].column == UInt32(column)
            let activation =
              isExact ? Double(input.values[index]) : Double(input.codes[index]) * Double(input.scales[index / 32].d)
            let product = activation * Double(packed.weights[row * 768 + column])
            exact += product
            size += abs(product)
          }
          #expect(abs(Double(output[token * 37 + row]) - exact) <= 1e-5 * size)
        }
      }
    }
  }

  /// A lone activation is an outlier, so its product is exact to the last bit in any column, also beside others.
  @Test(arguments: KernelPath.allCases.filter(\.isSupported), RandomTensor.types)
  func outliersKeepTheirPrecision(path: KernelPath, type: GGUFTensorType) throws {
    let packed = try Packed(type, rows: 37, columns: 512, seed: 17)
    let columns = [0, 1, 15, 16, 31, 32, 130, 130, 255, 256, 300, 511]
    var values = [Float](repeating: 0, count: columns.count * 512)
    for (token, column) in columns.enumerated() { values[token * 512 + column] = token % 2 == 0 ? 1_234.567 : -0.1 }
    let output = try Activations(values, tokens: columns.count).multiply(packed, path, quantized: true)
    for (token, column) in columns.enumerated() {
      let exact = (0..<37).map { packed.weights[$0 * 512 + column] * values[token * 512 + column] }
      #expect(Array(output[token * 37..<(token + 1) * 37]) == exact)
    }
  }

  @Test func shapesThatCannotBePacked() {
    var matrix = k_matrix()
    #expect(k_matrix_plan(K_TYPE_Q4_K, 16, 128, &matrix) == 0)
    #expect(k_matrix_plan(K_TYPE_Q8_0, 16, 40, &matrix) == 0)
    #expect(k_matrix_plan(K_TYPE_F32, 0, 32, &matrix) == 0)
    #expect(k_matrix_plan(k_type(rawValue: 99), 16, 256, &matrix) == 0)
  }
}
