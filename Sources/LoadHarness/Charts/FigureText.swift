/// Numbers as people read them.
public enum FigureText {
  /// Three digits or a little more: `1234`, `123.4`, `12.3`, `1.23`; `–` for nothing.
  public static func of(_ value: Double?) -> String {
    guard let value, value.isFinite else { return "–" }
    if value == value.rounded(), abs(value) < 1e6 { return String(Int(value)) }
    let size = abs(value)
    return decimal(value, places: size >= 1000 ? 0 : size >= 10 ? 1 : size >= 0.1 ? 2 : 4)
  }

  /// With so many places behind the point.
  public static func decimal(_ value: Double, places: Int) -> String {
    guard value.isFinite, abs(value) < 1e12 else { return "\(value)" }
    let scale = (0..<places).reduce(1) { product, _ in product * 10 }
    let units = Int((value * Double(scale)).rounded())
    let sign = units < 0 ? "-" : ""
    guard places > 0 else { return "\(units)" }
    let rest = String(abs(units) % scale)
    return "\(sign)\(abs(units) / scale).\(String(repeating: "0", count: places - rest.count))\(rest)"
  }
}
