import Foundation

/// One figure of `baton bench`: the median of its runs.
struct Measurement: Encodable {
  var name: String
  var unit: String
  var value: Double
  var least: Double
  var most: Double
  var runs: Int

  init(_ name: String, unit: String, values: [Double]) {
    let sorted = values.sorted()
    self.name = name
    self.unit = unit
    value = sorted[sorted.count / 2]
    least = sorted[0]
    most = sorted[sorted.count - 1]
    runs = sorted.count
  }

  var line: String {
    name.padding(toLength: 34, withPad: " ", startingAt: 0)
      + Self.text(value, 10) + " \(unit)" + (runs > 1 ? "  (\(Self.text(least)) to \(Self.text(most)))" : "")
  }

  private static func text(_ value: Double, _ width: Int = 0) -> String {
    String(format: "%\(width == 0 ? "" : "\(width)").\(value < 10 ? 2 : 1)f", value)
  }
}
