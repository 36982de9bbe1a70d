/// A figure beside the one it is compared with, and whether their ratio is what it has to be.
public struct Bar: Codable, Hashable, Sendable {
  public enum Direction: Sendable {
    case atLeast
    case atMost
  }

  public var work: String
  public var figure: String
  public var ours: Double
  /// Nil where the figure stands alone; the ratio is then the figure.
  public var baseline: Double?
  public var ratio: Double
  public var bar: Double
  public var met: Bool
  public var unit: String

  public init(
    work: String, figure: String, ours: Double, baseline: Double?, _ direction: Direction, bar: Double, unit: String
  ) {
    self.work = work
    self.figure = figure
    self.ours = ours
    self.baseline = baseline
    self.bar = bar
    self.unit = unit
    // JSON has no number for what a division by nothing gives.
    ratio = baseline.map { $0 == 0 ? 0 : ours / $0 } ?? ours
    met = baseline != 0 && (direction == .atLeast ? ratio >= bar : ratio <= bar)
  }

  private enum CodingKeys: String, CodingKey { case work, figure, ours, baseline, ratio, bar, met, unit }

  /// Writes `baseline` even where it is null.
  public func encode(to encoder: any Encoder) throws {
    var container = encoder.container(keyedBy: CodingKeys.self)
    try container.encode(work, forKey: .work)
    try container.encode(figure, forKey: .figure)
    try container.encode(ours, forKey: .ours)
    try container.encode(baseline, forKey: .baseline)
    try container.encode(ratio, forKey: .ratio)
    try container.encode(bar, forKey: .bar)
    try container.encode(met, forKey: .met)
    try container.encode(unit, forKey: .unit)
  }

  /// One line for people.
  public var line: String {
    let value = FigureText.decimal(ratio, places: 2) + (baseline == nil ? " \(unit)" : " ×")
    return "\(met ? "met   " : "MISSED") \(work), \(figure): \(value), bar \(FigureText.decimal(bar, places: 2))"
  }
}
