/// How far the largest logit lies above the second.
enum LogitMargin {
  static func of(_ logits: UnsafeBufferPointer<Float>) -> Float {
    let raw = UnsafeRawBufferPointer(logits)
    let vectorEnd = logits.count / 16 * 16
    var first = SIMD16<Float>(repeating: -.infinity)
    var second = first
    for index in stride(from: 0, to: vectorEnd, by: 16) {
      let values = raw.loadUnaligned(fromByteOffset: index * 4, as: SIMD16<Float>.self)
      let isLarger = values .> first
      let smaller = values.replacing(with: first, where: isLarger)
      first.replace(with: values, where: isLarger)
      second.replace(with: smaller, where: smaller .> second)
    }
    var (largest, next) = (-Float.infinity, -Float.infinity)
    func take(_ value: Float) {
      if value > largest {
        (largest, next) = (value, largest)
      } else if value > next {
        next = value
      }
    }
    for lane in 0..<16 {
      take(first[lane])
      take(second[lane])
    }
    for index in vectorEnd..<logits.count { take(logits[index]) }
    return largest - next
  }
}
