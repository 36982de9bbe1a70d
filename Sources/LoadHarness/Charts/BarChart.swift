/// Rows beside each other in several figures: a panel of horizontal bars for each figure.
public struct BarChart: Sendable {
  public struct Panel: Sendable {
    public var title: String
    public var unit: String
    /// One for each row; nil leaves the row empty.
    public var values: [Double?]

    public init(title: String, unit: String, values: [Double?]) {
      self.title = title
      self.unit = unit
      self.values = values
    }
  }

  public var title: String
  public var subtitle: String
  /// The first is what the others are compared with.
  public var rows: [String]
  public var panels: [Panel]

  public init(title: String, subtitle: String, rows: [String], panels: [Panel]) {
    self.title = title
    self.subtitle = subtitle
    self.rows = rows
    self.panels = panels
  }

  private static let labelWidth = 150.0
  private static let panelWidth = 170.0
  private static let valueWidth = 52.0
  private static let gap = 26.0
  private static let rowHeight = 30.0
  private static let margin = 28.0
  private static let top = 118.0

  /// An SVG document.
  public var svg: String {
    let width = 2 * Self.margin + Self.labelWidth + Double(panels.count) * (Self.panelWidth + Self.gap)
    var drawing = SVGDrawing(width: width, height: Self.top + Double(rows.count) * Self.rowHeight + Self.margin)
    drawing.text(title, x: Self.margin, y: 36, size: 18, isBold: true)
    drawing.text(subtitle, x: Self.margin, y: 58, fill: Palette.faint)
    for (index, row) in rows.enumerated() {
      let y = Self.top + Double(index) * Self.rowHeight
      drawing.line(
        from: (Self.margin, y), to: (width - Self.margin, y), stroke: Palette.grid)
      drawing.text(row, x: Self.margin, y: y + 20, size: 13, isBold: index == 0)
    }
    for (index, panel) in panels.enumerated() {
      draw(panel, x: Self.margin + Self.labelWidth + Double(index) * (Self.panelWidth + Self.gap), in: &drawing)
    }
    return drawing.document
  }

  private func draw(_ panel: Panel, x: Double, in drawing: inout SVGDrawing) {
    drawing.text(panel.title, x: x, y: Self.top - 26, size: 13, isBold: true)
    drawing.text(panel.unit, x: x, y: Self.top - 10, size: 11, fill: Palette.faint)
    let most = panel.values.compactMap { $0 }.filter(\.isFinite).max() ?? 0
    for (index, value) in panel.values.prefix(rows.count).enumerated() {
      let y = Self.top + Double(index) * Self.rowHeight
      var end = x
      if let value, value.isFinite {
        let length = most > 0 ? max(value > 0 ? 1 : 0, value / most * (Self.panelWidth - Self.valueWidth)) : 0
        drawing.rectangle(
          x: x, y: y + 7, width: length, height: Self.rowHeight - 14,
          fill: index == 0 ? Palette.baseline : Palette.series[0], radius: 2)
        end += length
      }
      drawing.text(FigureText.of(value), x: end + 6, y: y + 20)
    }
  }
}
