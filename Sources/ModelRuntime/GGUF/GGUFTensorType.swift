/// How a tensor's elements are stored, in blocks of `blockSize` elements along its first dimension.
public enum GGUFTensorType: Hashable, Sendable, CustomStringConvertible {
  case f32, f16, bf16
  case q40, q41, q50, q51, q80
  case q4K, q5K, q6K
  /// A type that the format has, or may have, and that is refused when its bytes are asked for.
  case other(UInt32)

  /// From the number in the file.
  public init(rawValue: UInt32) {
    switch rawValue {
    case 0: self = .f32
    case 1: self = .f16
    case 2: self = .q40
    case 3: self = .q41
    case 6: self = .q50
    case 7: self = .q51
    case 8: self = .q80
    case 12: self = .q4K
    case 13: self = .q5K
    case 14: self = .q6K
    case 30: self = .bf16
    default: self = .other(rawValue)
    }
  }

  /// The number in the file.
  public var rawValue: UInt32 {
    switch self {
    case .f32: 0
    case .f16: 1
    case .q40: 2
    case .q41: 3
    case .q50: 6
    case .q51: 7
    case .q80: 8
    case .q4K: 12
    case .q5K: 13
    case .q6K: 14
    case .bf16: 30
    case .other(let number): number
    }
  }

  /// Elements in a block and bytes that it takes; nil for a type that is not supported.
  public var block: (size: Int, bytes: Int)? {
    switch self {
    case .f32: (1, 4)
    case .f16, .bf16: (1, 2)
    case .q40: (32, 18)
    case .q41: (32, 20)
    case .q50: (32, 22)
    case .q51: (32, 24)
    case .q80: (32, 34)
    case .q4K: (256, 144)
    case .q5K: (256, 176)
    case .q6K: (256, 210)
    case .other: nil
    }
  }

  /// Elements in a block, 0 for a type that is not supported.
  public var blockSize: Int { block?.size ?? 0 }
  /// Bytes of a block, 0 for a type that is not supported.
  public var blockBytes: Int { block?.bytes ?? 0 }

  /// The type's usual name, as in `Q4_K`.
  public var description: String {
    switch self {
    case .f32: "F32"
    case .f16: "F16"
    case .bf16: "BF16"
    case .q40: "Q4_0"
    case .q41: "Q4_1"
    case .q50: "Q5_0"
    case .q51: "Q5_1"
    case .q80: "Q8_0"
    case .q4K: "Q4_K"
    case .q5K: "Q5_K"
    case .q6K: "Q6_K"
    case .other(let number): Self.otherNames[number].map { "\($0) (type \(number))" } ?? "type \(number)"
    }
  }

  private static let otherNames: [UInt32: String] = [
    9: "Q8_1", 10: "Q2_K", 11: "Q3_K", 15: "Q8_K", 16: "IQ2_XXS", 17: "IQ2_XS", 18: "IQ3_XXS", 19: "IQ1_S",
    20: "IQ4_NL", 21: "IQ3_S", 22: "IQ2_S", 23: "IQ4_XS", 24: "I8", 25: "I16", 26: "I32", 27: "I64", 28: "F64",
    29: "IQ1_M", 34: "TQ1_0", 35: "TQ2_0", 39: "MXFP4",
  ]
}
