/// Reads one line of Prometheus' text format 0.0.4.
struct MetricsLineParser {
  private var rest: Substring.UTF8View

  init(_ line: Substring) {
    rest = line.utf8
    if rest.last == UInt8(ascii: "\r") { rest.removeLast() }
    skipSpaces()
  }

  /// Whether the line says nothing: it is empty or a comment.
  var isBlank: Bool { rest.isEmpty || rest.first == UInt8(ascii: "#") }

  /// `name{label="value",…} number [timestamp]`; nil for anything else, and then the line stands as it was.
  mutating func sample() -> (name: String, labels: [String: String], value: Double)? {
    let start = rest
    if !isBlank, let name = name(), let labels = labels(), let value = value() { return (name, labels, value) }
    rest = start
    return nil
  }

  /// A sample's value or a bucket's bound.
  static func number(_ text: String) -> Double? {
    switch text {
    case "+Inf", "Inf": .infinity
    case "-Inf": -.infinity
    default: Double(text)
    }
  }

  private mutating func skipSpaces() {
    rest = rest.drop { $0 == UInt8(ascii: " ") || $0 == UInt8(ascii: "\t") }
  }

  private mutating func skip(_ byte: UInt8) -> Bool {
    guard rest.first == byte else { return false }
    rest.removeFirst()
    return true
  }

  private mutating func name() -> String? {
    let text = rest.prefix { MetricLabels.isNameByte($0) || $0 == UInt8(ascii: ":") }
    rest = rest.dropFirst(text.count)
    return text.isEmpty ? nil : String(Substring(text))
  }

  private mutating func labels() -> [String: String]? {
    var labels: [String: String] = [:]
    guard skip(UInt8(ascii: "{")) else { return labels }
    while true {
      skipSpaces()
      if skip(UInt8(ascii: "}")) { return labels }
      guard let name = name(), skip(UInt8(ascii: "=")), skip(UInt8(ascii: "\"")), let value = quoted() else {
        return nil
      }
      labels[name] = value
      skipSpaces()
      if skip(UInt8(ascii: "}")) { return labels }
      guard skip(UInt8(ascii: ",")) else { return nil }
    }
  }

  /// The rest of a quoted text, after its first quote.
  private mutating func quoted() -> String? {
    var bytes: [UInt8] = []
    while let byte = rest.popFirst() {
      switch byte {
      case UInt8(ascii: "\""): return String(decoding: bytes, as: UTF8.self)
      case UInt8(ascii: "\\"):
        guard let escaped = rest.popFirst() else { return nil }
        bytes.append(escaped == UInt8(ascii: "n") ? UInt8(ascii: "\n") : escaped)
      default: bytes.append(byte)
      }
    }
    return nil
  }

  private mutating func value() -> Double? {
    let words = Substring(rest).split { $0 == " " || $0 == "\t" }
    guard words.count == 1 || words.count == 2 && Int64(words[1]) != nil else { return nil }
    return Self.number(String(words[0]))
  }
}
