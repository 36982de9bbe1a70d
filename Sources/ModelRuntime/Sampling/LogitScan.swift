import ServingTypes

/// Passes over a whole row of logits, written so that the compiler makes vector code of them.
enum LogitScan {
  /// The largest logit, and whether all are finite.
  static func maximum(_ logits: UnsafeBufferPointer<Float>) -> (value: Float, allFinite: Bool) {
    let raw = UnsafeRawBufferPointer(logits)
    let vectorEnd = logits.count / 16 * 16
    var largest = SIMD16<Float>(repeating: -.infinity)
    // x - x is 0 for a finite number and NaN for any other, and NaN stays.
    var poison = SIMD16<Float>(repeating: 0)
    for index in stride(from: 0, to: vectorEnd, by: 16) {
      let values = raw.loadUnaligned(fromByteOffset: index * 4, as: SIMD16<Float>.self)
      largest.replace(with: values, where: values .> largest)
      poison += values - values
    }
    var maximum = largest.max()
    var sum = poison.sum()
    for index in vectorEnd..<logits.count {
      maximum = max(maximum, logits[index])
      sum += logits[index] - logits[index]
    }
    return (maximum, sum == 0)
  }

  /// The first place where `value` stands.
  static func firstIndex(of value: Float, in logits: UnsafeBufferPointer<Float>) -> Int? {
    let raw = UnsafeRawBufferPointer(logits)
    let vectorEnd = logits.count / 16 * 16
    for index in stride(from: 0, to: vectorEnd, by: 16) {
      let values = raw.loadUnaligned(fromByteOffset: index * 4, as: SIMD16<Float>.self)
      guard any(values .== value) else { continue }
      for lane in 0..<16 where values[lane] == value { return index + lane }
    }
    return (vectorEnd..<logits.count).first { logits[$0] == value }
  }

  /// ln Σ exp(logit), the sum ascending by token.
  static func logSumExp(_ logits: UnsafeBufferPointer<Float>, maximum: Float) -> Double {
    var sum = 0.0
    for logit in logits {
      let below = Double(logit) - Double(maximum)
      // 260,000 tokens each 45 below the best one together add less than 1e-14.
      if below > -45 { sum += PortableMath.exp(below) }
    }
    return Double(maximum) + PortableMath.log(sum)
  }
}
