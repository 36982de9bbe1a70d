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
      + String(format: "%10.1f %@  (%.1f to %.1f)", value, unit, least, most)
  }
}
