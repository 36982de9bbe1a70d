import Foundation
import ServingTypes

/// Lengths in tokens: log-normal, so many are short and few are long, clipped to limits.
public struct LengthDistribution: Codable, Hashable, Sendable {
  /// Half of the lengths are below it, before clipping.
  public var median: Double
  /// Standard deviation of the natural logarithm; 0 gives the median always.
  public var spread: Double
  public var least: Int
  public var most: Int

  public init(median: Double, spread: Double, least: Int = 1, most: Int = 1_000_000) {
    self.median = median
    self.spread = spread
    self.least = least
    self.most = most
  }

  /// One length, always.
  public static func fixed(_ length: Int) -> LengthDistribution {
    LengthDistribution(median: Double(length), spread: 0, least: length, most: length)
  }

  /// Draws a length; takes two numbers from the generator whatever comes out.
  func draw(_ random: inout SplitMix64) -> Int {
    // Box and Muller's transform; the first uniform is never 0.
    let (first, second) = (1 - random.uniform(), random.uniform())
    let normal = (-2 * log(first)).squareRoot() * cos(2 * Double.pi * second)
    let length = median * exp(spread * normal)
    return Int(min(max(length.rounded(), Double(least)), Double(most)))
  }
}

extension SplitMix64 {
  /// At least 0, below 1.
  mutating func uniform() -> Double { Double(next() >> 11) * 0x1p-53 }
}
