/// Exponential and logarithm from additions, multiplications and divisions only, rounded the same way on every machine.
///
/// The C library picks its code by the processor, so that a last bit may differ between two workers; a sampled token must not.
package enum PortableMath {
  package static let ln2 = 0.693_147_180_559_945_3
  private static let ln2High = 0.693_147_180_369_123_8
  private static let ln2Low = 1.908_214_929_270_587_7e-10

  private static let roundingShift = 0x1.8p52

  /// eˣ to within some 1e-15 of its value; 0 below -700.
  package static func exp(_ x: Double) -> Double {
    guard x > -700 else { return 0 }
    guard x < 700 else { return .infinity }
    // Adding and subtracting 1.5 · 2⁵² rounds to the nearest integer, and leaves it in the sum's low bits.
    let shifted = x * (1 / ln2) + roundingShift
    let power = shifted - roundingShift
    let rest = (x - power * ln2High) - power * ln2Low
    // Taylor's series; |rest| ≤ 0.35 makes the next term 1e-17.
    var sum = 1.0 / 6_227_020_800
    sum = sum * rest + 1.0 / 479_001_600
    sum = sum * rest + 1.0 / 39_916_800
    sum = sum * rest + 1.0 / 3_628_800
    sum = sum * rest + 1.0 / 362_880
    sum = sum * rest + 1.0 / 40_320
    sum = sum * rest + 1.0 / 5_040
    sum = sum * rest + 1.0 / 720
    sum = sum * rest + 1.0 / 120
    sum = sum * rest + 1.0 / 24
    sum = sum * rest + 1.0 / 6
    sum = sum * rest + 0.5
    sum = sum * rest + 1
    sum = sum * rest + 1
    return sum * Double(bitPattern: (shifted.bitPattern &+ 1_023) << 52)
  }

  /// The natural logarithm of a positive, normal number.
  package static func log(_ x: Double) -> Double {
    let bits = x.bitPattern
    var exponent = Double(Int(truncatingIfNeeded: bits >> 52) - 1_023)
    var fraction = Double(bitPattern: bits & 0x000F_FFFF_FFFF_FFFF | 0x3FF0_0000_0000_0000)
    if fraction > 1.414_213_562_373_095_1 {
      fraction *= 0.5
      exponent += 1
    }
    // ln m = 2 artanh s with s = (m - 1) / (m + 1), |s| ≤ 0.172.
    let s = (fraction - 1) / (fraction + 1)
    let square = s * s
    var sum = 1.0 / 21
    sum = sum * square + 1.0 / 19
    sum = sum * square + 1.0 / 17
    sum = sum * square + 1.0 / 15
    sum = sum * square + 1.0 / 13
    sum = sum * square + 1.0 / 11
    sum = sum * square + 1.0 / 9
    sum = sum * square + 1.0 / 7
    sum = sum * square + 1.0 / 5
    sum = sum * square + 1.0 / 3
    sum = sum * square + 1
    return exponent * ln2High + (2 * s * sum + exponent * ln2Low)
  }
}
