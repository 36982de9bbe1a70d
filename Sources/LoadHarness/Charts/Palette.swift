/// The colours of charts.
enum Palette {
  static let paper = "#ffffff"
  static let ink = "#1f2933"
  static let faint = "#6b7780"
  static let grid = "#e3e7ea"
  static let baseline = "#9aa5ae"
  static let series = ["#2563a8", "#d97706", "#2f8f5b", "#8b5cf6"]
}
