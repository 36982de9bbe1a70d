import CKernels
import Foundation
import ModelRuntime
import ServingTestKit
import Testing

/// Each kernel against the portable one, bit for bit, and against a plain computation in double precision.
struct KernelTests {
  /// The vector paths that this processor can run.
  static let paths = KernelPath.allCases.filter { $0 != .portable && $0.isSupported }

  static func kernels(_ path: KernelPath) throws -> k_kernels { try #require(path.kernels).pointee }

  static func floats(_ count: Int, seed: UInt64, scale: Float = 1) -> [Float] {
    var random = SplitMix64(seed: seed)
    return (0..<count).map { _ in
      let value = Float.random(in: -1...1, using: &random)
      return value * value * value * scale
    }
  }

  // MARK: Stored types

  @Test func halvesAreRoundedToNearestEven() {
    let halves = (UInt16.min...UInt16.max).filter { !Float16(bitPattern: $0).isNaN }
    #expect(halves.filter { k_half_to_float($0) != Float(Float16(bitPattern: $0)) } == [])
    #expect(halves.filter { k_float_to_half(Float(Float16(bitPattern: $0))) != $0 } == [])
    var random = SplitMix64(seed: 1)
    let floats = (0..<100_000).map { _ in Float(bitPattern: UInt32.random(in: 0...UInt32.max, using: &random)) }
    #expect(floats.filter { !$0.isNaN && k_float_to_half($0) != Float16($0).bitPattern } == [])
    #expect(Float16(bitPattern: k_float_to_half(.nan)).isNaN)
  }

  @Test(arguments: paths)
  func storing(path: KernelPath) throws {
    let portable = try Self.kernels(.portable)
    let vector = try Self.kernels(path)
    var random = SplitMix64(seed: 2)
    let bits = (0..<4_096).map { _ in Float(bitPattern: UInt32.random(in: 0...UInt32.max, using: &random)) }
    let values = bits.map { $0.isNaN ? 0 : $0 }
    for dtype in [K_KV_F32, K_KV_F16, K_KV_BF16] {
      var expected = [UInt8](repeating: 0, count: 4 * values.count)
      var actual = expected
      portable.store(dtype, values, values.count, &expected, nil)
      vector.store(dtype, values, values.count, &actual, nil)
      #expect(actual == expected)
    }
  }

  @Test(arguments: KernelPath.allCases.filter(\.isSupported), [8, 16, 17])
  func storingColumns(path: KernelPath, stride: Int) throws {
    let kernels = try Self.kernels(path)
    let values = Self.floats(80, seed: 11, scale: 100)
    for dtype in StoredHead.dtypes {
      let element = k_kv_element_bytes(dtype)
      var row = [UInt8](repeating: 0, count: 80 * element)
      var scales: (UInt16, UInt16) = (1, 1)
      kernels.store(dtype, values, 80, &row, &scales.0)
      var column = [UInt8](repeating: 0xa5, count: 80 * stride * element)
      column.withUnsafeMutableBytes {
        kernels.store_column(dtype, values, 80, $0.baseAddress! + 3 * element, stride, &scales.1)
      }
      #expect(scales.0 == scales.1 && (scales.0 == 1) == (k_kv_scale_bytes(dtype) == 0))
      for index in column.indices {
        let (d, slot) = (index / element / stride, index / element % stride)
        #expect(column[index] == (slot == 3 ? row[d * element + index % element] : 0xa5))
      }
    }
  }

  // MARK: Elementwise

  @Test(arguments: KernelPath.allCases.filter(\.isSupported), [16, 64, 576, 8_960])
  func normalising(path: KernelPath, count: Int) throws {
    let x = Self.floats(count, seed: 3, scale: 40)
    let weight = Self.floats(count, seed: 4)
    var expected = [Float](repeating: 0, count: count)
    var actual = expected
    try Self.kernels(.portable).rms_norm(x, weight, 1e-5, count, &expected)
    try Self.kernels(path).rms_norm(x, weight, 1e-5, count, &actual)
    #expect(actual == expected)
    let scale = 1 / (x.reduce(0) { $0 + Double($1) * Double($1) } / Double(count) + 1e-5).squareRoot()
    for index in 0..<count {
      let exact = Double(x[index]) * scale * Double(weight[index])
      #expect(abs(Double(actual[index]) - exact) <= 1e-5 * max(1, abs(exact)))
    }
  }

  @Test(arguments: KernelPath.allCases.filter(\.isSupported))
  func squaresThatOverflowAreNotZeros(path: KernelPath) throws {
    for value in [Float(3e19), .infinity, .nan] {
      var x = [Float](repeating: 1, count: 64)
      x[33] = value
      var y = x
      try Self.kernels(path).rms_norm(x, [Float](repeating: 1, count: 64), 1e-5, 64, &y)
      #expect(!y.contains { $0.isFinite })
    }
  }

  /// Every path chooses the same outlier and the same blocks; no garbage is left in their codes. With 160 elements four
  /// blocks are quantised together.
  @Test(arguments: KernelPath.allCases.filter(\.isSupported), [96, 160])
  func quantisingWhatIsNotFinite(path: KernelPath, count: Int) throws {
    for (first, second) in [(Float.nan, Float.infinity), (.infinity, .nan), (-.infinity, 1), (.nan, .nan)] {
      for (one, two) in [(3, 70), (20, 85), (64, 65), (95, 0)] {
        var x = Self.floats(count, seed: 12)
        (x[one], x[two]) = (first, second)
        let row = QuantizedRow(try Self.kernels(path), x)
        let column = Int(row.outlier.column)
        let expected =
          first.isNaN && second.isNaN ? min(one, two) : second.isNaN ? two : one
        #expect(column == expected && !row.outlier.value.isFinite)
        x[column] = 0
        for block in 0..<count / 32 {
          let isFinite = !x[32 * block..<32 * block + 32].contains { !$0.isFinite }
          #expect(row.scales[block].d.isFinite == isFinite && row.scales[block].sum.isFinite == isFinite)
          if !isFinite { #expect(!row.codes[32 * block..<32 * block + 32].contains { $0 != 0 }) }
        }
      }
    }
  }

  /// Where 127 ÷ the largest magnitude would be infinite.
  @Test(arguments: KernelPath.allCases.filter(\.isSupported))
  func quantisingTheSmallest(path: KernelPath) throws {
    let x = [Float](repeating: 1e-37, count: 31) + [-3e-38]
    let row = QuantizedRow(try Self.kernels(path), x, takesOutlier: false)
    #expect(!row.codes.contains { $0 != 0 })
    #expect(row.scales[0].sum == 0 && row.scales[0].low == 0 && row.scales[0].high == 0)
  }

  /// A block's codes and scale are its own, however many are quantised at once.
  @Test(arguments: KernelPath.allCases.filter(\.isSupported), [128, 576, 672])
  func blocksAreQuantisedAlike(path: KernelPath, count: Int) throws {
    let kernels = try Self.kernels(path)
    var x = Self.floats(count, seed: 21, scale: 40)
    for index in 32..<64 { x[index] *= 1e-38 }
    for index in 96..<128 { x[index] = 0 }
    if count > 512 { x[300] = .infinity }
    let row = QuantizedRow(kernels, x, takesOutlier: false)
    for block in 0..<count / 32 {
      let elements = 32 * block..<32 * block + 32
      let alone = QuantizedRow(kernels, Array(x[elements]), takesOutlier: false)
      #expect(alone.codes == Array(row.codes[elements]))
      let (scale, whole) = (alone.scales[0], row.scales[block])
      #expect(scale.d.bitPattern == whole.d.bitPattern && scale.sum.bitPattern == whole.sum.bitPattern)
      #expect(scale.low == whole.low && scale.high == whole.high)
    }
  }

  /// An outlier anywhere leaves codes and scales as if it were 0.
  @Test(arguments: KernelPath.allCases.filter(\.isSupported), [0, 33, 64, 127, 128, 300, 576, 671])
  func outliersAreLeftOut(path: KernelPath, column: Int) throws {
    let kernels = try Self.kernels(path)
    var x = Self.floats(672, seed: 22, scale: 2)
    x[column] = -90
    let row = QuantizedRow(kernels, x)
    #expect(row.outlier.value == -90 && Int(row.outlier.column) == column)
    x[column] = 0
    let expected = QuantizedRow(kernels, x, takesOutlier: false)
    #expect(row.codes == expected.codes)
    #expect(row.scales.map(\.d) == expected.scales.map(\.d) && row.scales.map(\.sum) == expected.scales.map(\.sum))
  }

  /// A panel's tokens are quantised one after the other, and products read the lanes that were written.
  @Test(arguments: KernelPath.allCases.filter(\.isSupported), 0..<Int(K_PANEL_TOKENS))
  func eachTokenHasItsLane(path: KernelPath, lane: Int) throws {
    var x = Self.floats(288, seed: 24)
    for last in [x[200], .infinity] {
      x[200] = last
      let row = QuantizedRow(try Self.kernels(path), x, lane: lane, takesOutlier: false)
      let first = QuantizedRow(try Self.kernels(path), x, lane: 0, takesOutlier: false)
      #expect(row.leavesOtherLanes && row.codes == first.codes)
      #expect(row.scales.map(\.d.bitPattern) == first.scales.map(\.d.bitPattern))
      #expect(row.scales.map(\.sum.bitPattern) == first.scales.map(\.sum.bitPattern))
      #expect(row.scales.map(\.low) == first.scales.map(\.low) && row.scales.map(\.high) == first.scales.map(\.high))
    }
  }

  @Test(arguments: KernelPath.allCases.filter(\.isSupported), [32, 96, 1_536])
  func quantising(path: KernelPath, count: Int) throws {
    var x = Self.floats(count, seed: 5, scale: 300)
    for index in 0..<32 { x[index] = 0 }
    // The first of two elements that are equally large is the outlier.
    if count > 64 {
      x[count - 1] = 300
      x[count - 20] = -300
    }
    let expected = QuantizedRow(try Self.kernels(.portable), x)
    let actual = QuantizedRow(try Self.kernels(path), x)
    #expect(actual.codes == expected.codes)
    #expect(actual.outlier.value == expected.outlier.value && actual.outlier.column == expected.outlier.column)
    let largest = x.map { abs($0) }.max()
    let outlier = try #require(x.firstIndex { abs($0) == largest })
    #expect(Int(actual.outlier.column) == outlier && actual.outlier.value == x[outlier])
    #expect(actual.codes[outlier] == 0)
    x[outlier] = 0
    for block in 0..<count / 32 {
      let (scale, other) = (actual.scales[block], expected.scales[block])
      #expect(scale.d == other.d && scale.sum == other.sum && scale.low == other.low && scale.high == other.high)
      let codes = actual.codes[32 * block..<32 * block + 32].map(Int32.init)
      #expect(scale.low == -32 * codes[..<16].reduce(0, +))
      #expect(scale.high == -32 * codes[16...].reduce(0, +))
      for (index, code) in codes.enumerated() {
        #expect(abs(Float(code) * scale.d - x[32 * block + index]) <= 0.501 * scale.d)
        #expect(abs(code) <= 127)
      }
    }
  }

  @Test(arguments: KernelPath.allCases.filter(\.isSupported), [K_GATE_SILU, K_GATE_GELU_TANH])
  func gating(path: KernelPath, kind: k_gate) throws {
    let gate = Self.floats(1_024, seed: 6, scale: 20) + [0, 100, -100, 1e-20] + Self.floats(12, seed: 7, scale: 200)
    let up = Self.floats(gate.count, seed: 8)
    var expected = [Float](repeating: 0, count: gate.count)
    var actual = expected
    try Self.kernels(.portable).gate(kind, gate, up, gate.count, &expected)
    try Self.kernels(path).gate(kind, gate, up, gate.count, &actual)
    #expect(actual == expected)
    for index in gate.indices {
      let g = Double(gate[index])
      let exact =
        kind == K_GATE_SILU
        ? g / (1 + exp(-g)) : 0.5 * g * (1 + tanh((2 / Double.pi).squareRoot() * (g + 0.044715 * g * g * g)))
      #expect(abs(Double(actual[index]) - exact * Double(up[index])) <= 2e-6 * max(1, abs(g)))
    }
  }

  @Test(arguments: KernelPath.allCases.filter(\.isSupported))
  func rotating(path: KernelPath) throws {
    let size = 80
    let angles = Self.floats(size / 2, seed: 9, scale: 10)
    let (cosines, sines) = (angles.map { cos($0) }, angles.map { sin($0) })
    let x = Self.floats(size, seed: 10)
    for (kind, first, second) in [
      (K_ROPE_INTERLEAVED, { 2 * $0 }, { 2 * $0 + 1 }), (K_ROPE_HALVES, { $0 }, { $0 + size / 2 }),
    ] as [(k_rope, (Int) -> Int, (Int) -> Int)] {
      var actual = x
      var portable = x
      try Self.kernels(path).rope(kind, &actual, cosines, sines, size)
      try Self.kernels(.portable).rope(kind, &portable, cosines, sines, size)
      #expect(actual == portable)
      for index in 0..<size / 2 {
        let (a, b) = (x[first(index)], x[second(index)])
        #expect(abs(actual[first(index)] - (a * cosines[index] - b * sines[index])) < 1e-6)
        #expect(abs(actual[second(index)] - (a * sines[index] + b * cosines[index])) < 1e-6)
      }
    }
  }
}
