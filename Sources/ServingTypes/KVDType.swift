/// The element type of stored keys and values.
public enum KVDType: String, Hashable, Sendable, CaseIterable {
  case f32
  case f16
  case bf16
  /// E4M3.
  case fp8
  case int8

  /// Bytes of one element, scales apart.
  public var elementBytes: Int {
    switch self {
    case .f32: 4
    case .f16, .bf16: 2
    case .fp8, .int8: 1
    }
  }

  /// Bytes of the scale, a half, that is stored for each token and head of the keys and of the values; 0 where there is none.
  public var scaleBytes: Int {
    switch self {
    case .f32, .f16, .bf16: 0
    case .fp8, .int8: 2
    }
  }
}
