import ServingTypes

/// The noise that turns an arg max into a sample: one standard Gumbel number for each token at one place of one sample.
///
/// A pure function of (seed, sample index, position, token): whoever draws the token, in whatever step, finds the same noise. It's
/// SplitMix64's output function, keyed by the first three and counted by the token.
/// - SeeAlso: Gumbel (1954) for the arg max; Steele, Lea and Flood (2014) for the mixer.
public struct GumbelNoise: Sendable {
  private let key: UInt64

  /// - Parameter position: of the token being drawn, counted from the start of the prompt.
  public init(seed: UInt64, sampleIndex: Int, position: Int) {
    var key = Self.mix(seed &+ 0x9E37_79B9_7F4A_7C15)
    key = Self.mix(key ^ (UInt64(truncatingIfNeeded: sampleIndex) &* 0xD1B5_4A32_D192_ED03))
    key = Self.mix(key &+ (UInt64(truncatingIfNeeded: position) &* 0x8CB9_2BA7_2F3D_8DD7))
    self.key = key
  }

  /// The token's noise.
  public subscript(_ token: TokenID) -> Double { Self.noise(bits(token)) }

  /// 64 random bits for the token.
  @inline(__always)
  func bits(_ token: TokenID) -> UInt64 {
    Self.mix(key &+ UInt64(truncatingIfNeeded: token) &* 0x9E37_79B9_7F4A_7C15)
  }

  /// No less than `noise(bits)`, for the price of counting zeros: most tokens cannot win and need no logarithm.
  @inline(__always)
  static func upperBound(_ bits: UInt64) -> Double {
    Double(bits.leadingZeroBitCount + 1) * (PortableMath.ln2 + 1e-6)
  }

  /// -ln(-ln(1 - v)), v being the bits as a number in (0, 1): the smaller v, the larger the noise.
  static func noise(_ bits: UInt64) -> Double {
    let v = (Double(bits >> 11) + 0.5) * 0x1p-53
    let exponential = v < 1e-3 ? v * (1 + v * (0.5 + v * (1.0 / 3 + v * (0.25 + v * 0.2)))) : -PortableMath.log(1 - v)
    return -PortableMath.log(exponential)
  }

  @inline(__always)
  private static func mix(_ value: UInt64) -> UInt64 {
    var mixed = value
    mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
    mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
    return mixed ^ (mixed >> 31)
  }
}
