/// What the matrix products compute with.
public enum KernelArithmetic: String, Hashable, Sendable, CaseIterable {
  /// Activations quantised to 8 bits per block of 32, integer products; the largest of a norm's outputs stays `f32`.
  case fast
  /// `f32` activations and dequantised weights, for accuracy tests; many times slower.
  case reference

  /// The class of arithmetic in `KVLayout`: workers of different classes never share blocks.
  public var numerics: String {
    switch self {
    case .fast: "q8b32-v2"
    case .reference: "f32-reference"
    }
  }
}
