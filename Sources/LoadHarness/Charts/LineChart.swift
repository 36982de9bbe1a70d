import Foundation

/// Figures over the values of one parameter: a panel for each figure, with one or more curves.
public struct LineChart: Sendable {
  public struct Curve: Sendable {
    public var name: String
    /// One for each tick.
    public var values: [Double]

    public init(name: String, values: [Double]) {
      self.name = name
      self.values = values
    }
  }

  public struct Panel: Sendable {
    public var title: String
    public var unit: String
    public var curves: [Curve]

    public init(title: String, unit: String, curves: [Curve]) {
      self.title = title
      self.unit = unit
      self.curves = curves
    }
  }

  public var title: String
  public var subtitle: String
  /// The parameter, below each panel.
  public var axis: String
  /// Its values, evenly spaced whatever they are.
  public var ticks: [String]
  public var panels: [Panel]

  public init(title: String, subtitle: String, axis: String, ticks: [String], panels: [Panel]) {
    self.title = title
    self.subtitle = subtitle
    self.axis = axis
    self.ticks = ticks
    self.panels = panels
  }

  private static let columns = 2
  private static let panelSize = (width: 430.0, height: 210.0)
  private static let gap = (x: 90.0, y: 96.0)
  private static let margin = 70.0
  private static let top = 120.0

  /// An SVG document.
  public var svg: String {
    let columns = min(Self.columns, max(1, panels.count))
    let lines = (panels.count + columns - 1) / columns
    var drawing = SVGDrawing(
      width: 2 * Self.margin + Double(columns) * (Self.panelSize.width + Self.gap.x) - Self.gap.x,
      height: Self.top + Double(lines) * (Self.panelSize.height + Self.gap.y) - 20)
    drawing.text(title, x: 28, y: 36, size: 18, isBold: true)
    drawing.text(subtitle, x: 28, y: 58, fill: Palette.faint)
    for (index, panel) in panels.enumerated() {
      draw(
        panel, x: Self.margin + Double(index % columns) * (Self.panelSize.width + Self.gap.x),
        y: Self.top + Double(index / columns) * (Self.panelSize.height + Self.gap.y), in: &drawing)
    }
    return drawing.document
  }

  private func draw(_ panel: Panel, x: Double, y: Double, in drawing: inout SVGDrawing) {
    let (width, height) = Self.panelSize
    drawing.text(panel.title, x: x, y: y - 24, size: 14, isBold: true)
    drawing.text(panel.unit, x: x, y: y - 8, size: 11, fill: Palette.faint)
    let most = Self.roundedUp(panel.curves.flatMap(\.values).filter(\.isFinite).max() ?? 1)
    for part in 0...4 {
      let level = y + height * (1 - Double(part) / 4)
      drawing.line(from: (x, level), to: (x + width, level), stroke: part == 0 ? Palette.faint : Palette.grid)
      drawing.text(
        FigureText.of(most * Double(part) / 4), x: x - 8, y: level + 4, size: 11, anchor: .end, fill: Palette.faint)
    }
    // Half a step of air on both sides, so that the first and the last point stand clear of the edges.
    let step = width / Double(max(1, ticks.count))
    func place(_ index: Int) -> Double { x + step * (Double(index) + 0.5) }
    for (index, tick) in ticks.enumerated() {
      drawing.text(tick, x: place(index), y: y + height + 18, size: 11, anchor: .middle)
    }
    drawing.text(axis, x: x + width / 2, y: y + height + 38, size: 12, anchor: .middle, fill: Palette.faint)
    for (number, curve) in panel.curves.enumerated() {
      let colour = Palette.series[number % Palette.series.count]
      let points = curve.values.prefix(ticks.count).enumerated().map { index, value in
        (x: place(index), y: y + height * (1 - (value.isFinite ? max(0, value) / most : 0)))
      }
      drawing.curve(points, stroke: colour)
      for (point, value) in zip(points, curve.values) where panel.curves.count == 1 {
        drawing.text(FigureText.of(value), x: point.x, y: point.y - 9, size: 11, anchor: .middle)
      }
      guard panel.curves.count > 1 else { continue }
      // The legend stands at the right of the title, the last curve outermost.
      let end = x + width - Double(panel.curves.count - 1 - number) * 80
      drawing.rectangle(x: end - 70, y: y - 33, width: 10, height: 10, fill: colour, radius: 2)
      drawing.text(curve.name, x: end - 56, y: y - 24, size: 11)
    }
  }

  /// The next of 1, 1.2, 1.6, 2, 2.4, 3, 4, 5, 6, 8, 10 times a power of ten, which four parts divide well.
  static func roundedUp(_ value: Double) -> Double {
    guard value > 0, value.isFinite else { return 1 }
    let power = pow(10, log10(value).rounded(.down))
    let steps = [1, 1.2, 1.6, 2, 2.4, 3, 4, 5, 6, 8]
    return (steps.first { $0 * power >= value } ?? 10) * power
  }
}
