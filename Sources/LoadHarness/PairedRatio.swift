import Foundation

/// How many times as fast one of two ways is, from runs made in turn.
public struct PairedRatio: Codable, Hashable, Sendable {
  public var median: Double
  /// The geometric mean, and the bounds within which it lies with a chance of 95 %.
  public var mean: Double
  public var low: Double
  public var high: Double
  public var pairs: Int

  /// - Parameter ratios: of each pair, above 0; at least two.
  public init(_ ratios: [Double]) {
    median = ratios.median
    let logarithms = ratios.map { log($0) }
    let count = Double(ratios.count)
    let center = logarithms.reduce(0, +) / count
    let variance = logarithms.reduce(0) { $0 + ($1 - center) * ($1 - center) } / max(count - 1, 1)
    let reach = Self.studentQuantile(freedom: max(count - 1, 1)) * (variance / count).squareRoot()
    mean = exp(center)
    low = exp(center - reach)
    high = exp(center + reach)
    pairs = ratios.count
  }

  /// Of Student's distribution, where 97.5 % lie below; by the expansion about the normal one.
  private static func studentQuantile(freedom: Double) -> Double {
    let normal = 1.959964
    let square = normal * normal
    let first = normal * (square + 1) / 4
    let second = normal * (5 * square * square + 16 * square + 3) / 96
    let third = normal * (3 * square * square * square + 19 * square * square + 17 * square - 15) / 384
    return normal + first / freedom + second / (freedom * freedom) + third / (freedom * freedom * freedom)
  }
}
