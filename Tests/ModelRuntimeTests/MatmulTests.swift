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

    convenience init(_ type: GGUFTensorType, rows: Int, columns: Int, seed: UInt64) throws {
      var random = SplitMix64(seed: seed)
      try self.init(type, RandomTensor.bytes(type, count: rows * columns, using: &random), rows: rows, columns: columns)
    }

    init(_ type: GGUFTensorType, _ bytes: [UInt8], rows: Int, columns: Int) throws {
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

  /// Activations, quantised for a product as if its tokens were all that a step has.
  struct Activations {
    var values: [Float]
    /// Whether each token's largest activation is left out of the codes, as after a norm.
    var takesOutliers: Bool
    var tokens: Int
    var columns: Int
    private let kernels: k_kernels

    init(_ values: [Float], tokens: Int, takesOutliers: Bool = true, path: KernelPath = .portable) throws {
      self.takesOutliers = takesOutliers
      self.values = values
      self.tokens = tokens
      columns = values.count / tokens
      kernels = try KernelTests.kernels(path)
    }

    func row(_ token: Int) -> QuantizedRow {
      QuantizedRow(kernels, Array(values[token * columns..<(token + 1) * columns]), takesOutlier: takesOutliers)
    }

    func multiply(
      _ packed: Packed, _ path: KernelPath, quantized: Bool, tokens range: Range<Int>? = nil
    ) throws -> [Float] {
      let kernels = try KernelTests.kernels(path)
      let range = range ?? 0..<tokens
      var output = [Float](repeating: .nan, count: range.count * packed.rows)
      withInput(range) { input in
        var input = input
        let product = quantized ? kernels.matmul_int8 : kernels.matmul_float
        product?(&packed.matrix, &input, 0, packed.matrix.tiles, &output, packed.rows)
      }
      return output
    }

    func withInput(_ range: Range<Int>, _ body: (k_activations) -> Void) {
      let lanes = Int(K_PANEL_TOKENS)
      var panels = [k_panel](repeating: .init(), count: k_panel_count(range.count, columns))
      var outliers = [k_outlier](repeating: .init(), count: range.count)
      values[(range.lowerBound * columns)...].withUnsafeBufferPointer { values in
        panels.withUnsafeMutableBufferPointer { panels in
          outliers.withUnsafeMutableBufferPointer { outliers in
            guard let first = values.baseAddress, let panel = panels.baseAddress, let outlier = outliers.baseAddress
            else { return }
            for token in 0..<range.count {
              kernels.quantize(
                first + token * columns, columns, panel + k_panel_index(token, columns), token % lanes,
                takesOutliers ? outlier + token : nil)
            }
            body(
              k_activations(
                values: first, panels: panel, outliers: takesOutliers ? outlier : nil, tokens: UInt32(range.count),
                columns: UInt32(columns)))
          }
        }
      }
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
    // The last one's rows go through in pieces where weights are kept for more tokens than a panel has.
    for (rows, columns) in [(16, 256), (37, 768), (5, 512), (18, 3_328)] {
      let packed = try Packed(type, rows: rows, columns: columns, seed: 12)
      var values = KernelTests.floats(33 * columns, seed: 13, scale: 3)
      // Zeros keep their signs too, wherever in a panel their token is.
      for token in [6, 21, 32] {
        for index in token * columns..<(token + 1) * columns { values[index] = -0.0 }
      }
      for (quantized, takesOutliers) in [(true, true), (true, false), (false, false)] {
        let input = try Activations(values, tokens: 33, takesOutliers: takesOutliers)
        let expected = try input.multiply(packed, .portable, quantized: quantized).map(\.bitPattern)
        #expect(try input.multiply(packed, path, quantized: quantized).map(\.bitPattern) == expected)
        #expect(!expected.contains { !Float(bitPattern: $0).isFinite })
        // A token's result must not depend on how many tokens the call handles.
        let cuts = [0..<1, 3..<5, 1..<4, 7..<12, 2..<9, 5..<13, 3..<12, 9..<24, 16..<32, 4..<21]
        let counts = (1..<33).map { count in (33 - count) * 2 / 3..<(33 - count) * 2 / 3 + count }
        for tokens in cuts + counts {
          let part = try input.multiply(packed, path, quantized: quantized, tokens: tokens).map(\.bitPattern)
          #expect(part == Array(expected[tokens.lowerBound * rows..<tokens.upperBound * rows]))
        }
      }
    }
  }

  /// The largest activations, beside all sorts of codes.
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

  /// The largest codes beside the largest activations, in each part of a panel: where sums of 16 bits would overflow.
  @Test(arguments: KernelTests.paths, RandomTensor.types.filter { ![.f32, .f16, .bf16].contains($0) })
  func largestCodes(path: KernelPath, type: GGUFTensorType) throws {
    let one: [UInt8] = [0x00, 0x3c]
    var block = [UInt8](repeating: type == .q80 ? 0x7f : 0xff, count: type.blockBytes)
    switch type {
    case .q6K: block.replaceSubrange(208..<210, with: one)
    case .q40, .q50, .q80: block.replaceSubrange(0..<2, with: one)
    default: block.replaceSubrange(0..<4, with: one + one)
    }
    let blocks = [[UInt8]](repeating: block, count: 16 * 256 / type.blockSize)
    let packed = try Packed(type, blocks.flatMap { $0 }, rows: 16, columns: 256)
    for sign in [Float(1), -1] {
      let input = try Activations([Float](repeating: sign, count: 9 * 256), tokens: 9, takesOutliers: false)
      let expected = try input.multiply(packed, .portable, quantized: true)
      let exact = sign * packed.weights[..<256].reduce(0, +)
      #expect(expected.allSatisfy { abs($0 - exact) <= 1e-4 * abs(exact) })
      for count in [1, 4, 5, 8, 9] {
        let output = try input.multiply(packed, path, quantized: true, tokens: 0..<count)
        #expect(output == Array(expected[..<(16 * count)]))
      }
    }
  }

  /// Six-bit codes with the largest sums that there are: exact as floats too, where a path has them so.
  @Test(arguments: KernelTests.paths)
  func largestSixBitSums(path: KernelPath) throws {
    // 128 + 64 bytes of codes −32, 16 scales −128, a factor of 1.
    let block = [UInt8](repeating: 0, count: 192) + [UInt8](repeating: 0x80, count: 16) + [0x00, 0x3c]
    let packed = try Packed(.q6K, [[UInt8]](repeating: block, count: 16).flatMap { $0 }, rows: 16, columns: 256)
    #expect(packed.weights.allSatisfy { $0 == 4_096 })
    let input = try Activations([Float](repeating: 1, count: 17 * 256), tokens: 17, takesOutliers: false)
    let expected = try input.multiply(packed, .portable, quantized: true)
    #expect(expected.allSatisfy { abs($0 - 256 * 4_096) < 1 })
    for count in [1, 4, 5, 8, 17] {
      #expect(try input.multiply(packed, path, quantized: true, tokens: 0..<count) == Array(expected[..<(16 * count)]))
    }
  }

  @Test(arguments: RandomTensor.types)
  func productsAreRight(type: GGUFTensorType) throws {
    let packed = try Packed(type, rows: 37, columns: 768, seed: 15)
    let input = try Activations(KernelTests.floats(3 * 768, seed: 16), tokens: 3)
    for quantized in [true, false] {
      let output = try input.multiply(packed, .best, quantized: quantized)
      for token in 0..<3 {
        let codes = input.row(token)
        for row in 0..<37 {
          var exact = 0.0
          var size = 0.0
          for column in 0..<768 {
            let index = token * 768 + column
            let isFloat = [.f32, .f16, .bf16].contains(type)
            let isExact = !quantized || isFloat || codes.outlier.column == UInt32(column)
            let activation =
              isExact ? Double(input.values[index]) : Double(codes.codes[column]) * Double(codes.scales[column / 32].d)
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

  /// Logits that are not finite fail a request; codes that look right would hide what went wrong in their block.
  @Test(arguments: KernelPath.allCases.filter(\.isSupported), RandomTensor.types)
  func whatIsNotFiniteStaysSo(path: KernelPath, type: GGUFTensorType) throws {
    let packed = try Packed(type, rows: 37, columns: 512, seed: 18)
    let bad: [(column: Int, value: Float)] = [
      (0, .nan), (16, .nan), (15, .infinity), (31, -.infinity), (40, -.nan), (500, .infinity), (511, .nan),
    ]
    let tokens = 2 * bad.count
    let sound = KernelTests.floats(tokens * 512, seed: 19)
    var values = sound
    // The second half are rows of zeros but for that element, as a norm gives them where one element is infinite.
    for index in bad.count * 512..<tokens * 512 { values[index] = 0 }
    for token in 0..<tokens where token != 3 {
      values[token * 512 + bad[token % bad.count].column] = bad[token % bad.count].value
    }
    for takesOutliers in [true, false] {
      let expected = try Activations(sound, tokens: tokens, takesOutliers: takesOutliers)
        .multiply(packed, path, quantized: true, tokens: 3..<4)
      let output = try Activations(values, tokens: tokens, takesOutliers: takesOutliers, path: path)
        .multiply(packed, path, quantized: true)
      for token in 0..<tokens {
        let row = output[token * 37..<(token + 1) * 37]
        #expect(token == 3 ? Array(row) == expected : !row.contains { $0.isFinite }, "token \(token)")
      }
    }
  }

  /// However many threads there are, and whichever matrices share the input, each row is written once.
  @Test(arguments: [1, 2, 3, 8, 64] as [UInt32])
  func tasksCoverEachRow(threads: UInt32) throws {
    // More tokens than a panel has, and rows that go through in pieces.
    let (tokens, columns) = (11, 1_792)
    let shapes: [(type: GGUFTensorType, rows: Int)] = [(.q40, 37), (.q6K, 16), (.q4K, 640)]
    let packed = try shapes.map { try Packed($0.type, rows: $0.rows, columns: columns, seed: 20) }
    let matrices = UnsafeMutablePointer<k_matrix>.allocate(capacity: packed.count)
    let outputs = UnsafeMutablePointer<Float>.allocate(capacity: tokens * 1_000)
    defer {
      matrices.deallocate()
      outputs.deallocate()
    }
    for (index, one) in packed.enumerated() { (matrices + index).initialize(to: one.matrix) }
    let input = try Activations(KernelTests.floats(tokens * columns, seed: 23), tokens: tokens)
    for count in 1...packed.count {
      outputs.initialize(repeating: .nan, count: tokens * 1_000)
      var job = k_matmul_job()
      job.kernels = KernelPath.best.kernels
      job.matrices = (UnsafePointer(matrices), UnsafePointer(matrices + 1), UnsafePointer(matrices + 2))
      // One token's results of all matrices lie side by side.
      job.outputs = (outputs, outputs + 37, outputs + 53)
      job.strides = (1_000, 1_000, 1_000)
      job.matrix_count = UInt32(count)
      input.withInput(0..<tokens) {
        job.input = $0
        for task in 0..<k_matmul_plan(&job, threads) { k_matmul_task(&job, task) }
      }
      var column = 0
      for (index, one) in packed.enumerated() {
        let expected = try input.multiply(one, .best, quantized: true)
        for token in 0..<tokens {
          let row = (0..<one.rows).map { outputs[token * 1_000 + column + $0] }
          let right = Array(expected[token * one.rows..<(token + 1) * one.rows])
          let isRight = index < count ? row == right : row.allSatisfy(\.isNaN)
          #expect(isRight, "matrix \(index) of \(count), token \(token)")
        }
        column += one.rows
      }
      #expect((0..<tokens).allSatisfy { token in (column..<1_000).allSatisfy { outputs[token * 1_000 + $0].isNaN } })
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
