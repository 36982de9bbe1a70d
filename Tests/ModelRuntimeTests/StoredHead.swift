import CKernels
import ModelRuntime

/// What a stored head means, by the definition of its type and one element at a time.
enum StoredHead {
  static let dtypes = [K_KV_F32, K_KV_F16, K_KV_BF16, K_KV_FP8, K_KV_INT8]

  /// The value of an e4m3 code.
  static func fp8(_ code: UInt8) -> Float {
    let (exponent, mantissa) = (Int(code >> 3 & 15), Float(code & 7))
    if exponent == 15 && mantissa == 7 { return .nan }
    let normal = Float(sign: .plus, exponent: exponent - 7, significand: 1 + mantissa / 8)
    let size = exponent == 0 ? mantissa / 512 : normal
    return code & 0x80 == 0 ? size : -size
  }

  static func value(_ dtype: k_kv_dtype, _ bytes: [UInt8], _ index: Int, scale: Float) -> Float {
    let element = k_kv_element_bytes(dtype)
    let bits = bytes[index * element..<(index + 1) * element].reversed().reduce(UInt32(0)) { $0 << 8 | UInt32($1) }
    switch dtype {
    case K_KV_F32: return Float(bitPattern: bits)
    case K_KV_F16: return Float(Float16(bitPattern: UInt16(bits)))
    case K_KV_BF16: return Float(bitPattern: bits << 16)
    case K_KV_FP8: return scale * fp8(UInt8(bits))
    default: return scale * Float(Int8(bitPattern: UInt8(bits)))
    }
  }

  /// Replaces heads of `size` elements by what is left of them once stored.
  static func round(_ x: UnsafeMutableBufferPointer<Float>, size: Int, _ dtype: k_kv_dtype) throws {
    let kernels = try KernelTests.kernels(.portable)
    var bytes = [UInt8](repeating: 0, count: 4 * size)
    for start in stride(from: 0, to: x.count, by: size) {
      var scale: UInt16 = 0
      kernels.store(dtype, x.baseAddress! + start, size, &bytes, &scale)
      for d in 0..<size {
        x[start + d] = value(dtype, bytes, d, scale: Float(Float16(bitPattern: scale)))
      }
    }
  }
}
