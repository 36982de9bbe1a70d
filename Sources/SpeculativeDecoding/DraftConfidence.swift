/// How often a draft model is right, by how far its best logit lies above the second: learnt from what became of its drafts.
struct DraftConfidence: Sendable {
  static let levels = 12
  private static let decay = 0.99
  private static let priorWeight = 4.0

  private var accepted: [Double]
  private var judged = [Double](repeating: Self.priorWeight, count: Self.levels)

  init() {
    // Level by level from a coin's chance to nearly sure.
    accepted = (0..<Self.levels).map { Self.priorWeight * (1 - 0.5 * 0.7.power($0)) }
  }

  /// Finer where the logits are close.
  static func level(margin: Float) -> Int {
    guard margin > 0 else { return 0 }
    return min(levels - 1, Int(min(margin, 100) * 2 / (1 + margin * 0.1)))
  }

  func chance(_ level: Int) -> Double { accepted[level] / judged[level] }

  mutating func record(_ level: Int, isAccepted: Bool) {
    accepted[level] = accepted[level] * Self.decay + (isAccepted ? 1 : 0)
    judged[level] = judged[level] * Self.decay + 1
  }
}

extension Double {
  fileprivate func power(_ exponent: Int) -> Double { (0..<exponent).reduce(1) { product, _ in product * self } }
}
