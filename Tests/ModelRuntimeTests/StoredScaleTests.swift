import CKernels
import Foundation
import ModelRuntime
import ServingTestKit
import Testing

/// Keys and values that are stored as 8-bit codes with a scale for each head.
struct StoredScaleTests {
  static let dtypes = [K_KV_FP8, K_KV_INT8]

  static func store(_ path: KernelPath, _ dtype: k_kv_dtype, _ x: [Float]) throws -> (codes: [UInt8], scale: Float16) {
    var codes = [UInt8](repeating: 0xa5, count: x.count)
    var scale: UInt16 = 0xa5a5
    try KernelTests.kernels(path).store(dtype, x, x.count, &codes, &scale)
    return (codes, Float16(bitPattern: scale))
  }

  static func heads() -> [[Float]] {
    let sizes: [Float] = [1e-9, 1e-7, 3e-6, 1e-5, 4e-4, 0.02, 0.7, 1, 5, 448, 3e3, 6e4, 5e6]
    let random = sizes.enumerated().map { KernelTests.floats(96, seed: UInt64($0), scale: $1) }
    return random + [[Float](repeating: 0, count: 96), [Float](repeating: -0.0, count: 96)]
  }

  @Test(arguments: KernelPath.allCases.filter(\.isSupported), dtypes)
  func codesAreTheNearest(path: KernelPath, dtype: k_kv_dtype) throws {
    let possible =
      dtype == K_KV_INT8
      ? (-127...127).map(Float.init)
      : (UInt8.min...UInt8.max).map(StoredHead.fp8).filter { !$0.isNaN }
    for x in Self.heads() {
      let stored = try Self.store(path, dtype, x)
      let other = try Self.store(.portable, dtype, x)
      #expect(stored == other)
      let largest = x.map { abs($0) }.max() ?? 0
      #expect(stored.scale == Float16(largest / (dtype == K_KV_INT8 ? 127 : 448)))
      let d = Double(stored.scale)
      for (index, value) in x.enumerated() {
        let restored = StoredHead.value(dtype, stored.codes, index, scale: Float(stored.scale))
        #expect(restored.isFinite)
        let nearest = possible.map { abs(Double($0) * d - Double(value)) }.min() ?? 0
        let error = abs(Double(restored) - Double(value))
        #expect(error <= nearest * 1.0001 + 1e-12 * Double(largest), "\(value) of \(largest)")
      }
    }
  }

  @Test(arguments: KernelPath.allCases.filter(\.isSupported))
  func everyFP8ValueSurvives(path: KernelPath) throws {
    let codes = (UInt8.min...UInt8.max).filter { $0 & 0x7f != 0x7f }
    // Padded with the largest, which makes the scale 1.
    let padding = [UInt8](repeating: 0x7e, count: 16 - codes.count % 16)
    let stored = try Self.store(path, K_KV_FP8, (codes + padding).map(StoredHead.fp8))
    #expect(stored.scale == 1 && stored.codes == codes + padding)
    // Halfway between two neighbours, the even code is the nearest.
    let halfway = (0..<0x7e).map { (StoredHead.fp8($0) + StoredHead.fp8($0 + 1)) / 2 } + [448, 448]
    let even = (UInt8(0)..<0x7e).map { ($0 + 1) & ~1 } + [0x7e, 0x7e]
    #expect(try Self.store(path, K_KV_FP8, halfway).codes == even)
  }

  @Test(arguments: KernelPath.allCases.filter(\.isSupported), dtypes)
  func whatIsNotFinite(path: KernelPath, dtype: k_kv_dtype) throws {
    for broken in [Float.nan, -.nan, .infinity, -.infinity, .greatestFiniteMagnitude] {
      for index in [0, 17, 63] {
        var x = KernelTests.floats(64, seed: 9)
        x[index] = broken
        #expect(try Self.store(path, dtype, x).scale.isNaN, "\(broken) at \(index)")
      }
    }
  }
}
