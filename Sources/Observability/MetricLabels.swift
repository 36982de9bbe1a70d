/// The labels of one series, sorted by name.
struct MetricLabels: Hashable, Sendable, Comparable {
  let pairs: [(name: String, value: String)]
  /// `name="value",…`, escaped: what the exposition shows between braces.
  let text: String

  init(_ pairs: [(String, String)]) {
    let sorted = pairs.sorted { $0.0 < $1.0 }
    for (name, _) in sorted {
      precondition(Self.isValidName(name), "label name '\(name)' is not [a-zA-Z_][a-zA-Z0-9_]*, or is reserved")
    }
    precondition(zip(sorted, sorted.dropFirst()).allSatisfy { $0.0 != $1.0 }, "a label is named twice")
    self.pairs = sorted.map { (name: $0.0, value: $0.1) }
    text = sorted.map { "\($0.0)=\"\(Self.escape($0.1))\"" }.joined(separator: ",")
  }

  /// The same names, each with the value that stands for everything beyond the limit.
  var overflow: MetricLabels { MetricLabels(pairs.map { ($0.name, "other") }) }

  static func == (left: MetricLabels, right: MetricLabels) -> Bool { left.text == right.text }

  func hash(into hasher: inout Hasher) { hasher.combine(text) }

  static func < (left: MetricLabels, right: MetricLabels) -> Bool { left.text < right.text }

  private static func isValidName(_ name: String) -> Bool {
    guard let first = name.utf8.first, !(UInt8(ascii: "0")...UInt8(ascii: "9")).contains(first) else { return false }
    return name != "le" && !name.hasPrefix("__") && name.utf8.allSatisfy(isNameByte)
  }

  static func isNameByte(_ byte: UInt8) -> Bool {
    switch byte {
    case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
      UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"):
      true
    default: false
    }
  }

  private static func escape(_ value: String) -> String {
    var result = ""
    for scalar in value.unicodeScalars {
      switch scalar {
      case "\\": result += "\\\\"
      case "\"": result += "\\\""
      case "\n": result += "\\n"
      default: result.unicodeScalars.append(scalar)
      }
    }
    return result
  }
}
