/// All series of one name, as the exposition prints them.
struct MetricFamily: Sendable {
  enum Value: Sendable {
    case number(Double)
    case histogram(bounds: [Double], HistogramValue)
  }

  let kind: MetricKind
  let help: String
  var series: [MetricLabels: Value] = [:]

  func write(name: String, to output: inout String) {
    output += "# HELP \(name) \(Self.escapeHelp(help))\n# TYPE \(name) \(kind.rawValue)\n"
    for labels in series.keys.sorted() {
      switch series[labels] {
      case .number(let value)?:
        output += labels.text.isEmpty ? name : "\(name){\(labels.text)}"
        output += " \(Self.format(value))\n"
      case .histogram(let bounds, let value)?:
        Self.write(value, bounds: bounds, name: name, labels: labels.text, to: &output)
      case nil: break
      }
    }
  }

  private static func write(
    _ value: HistogramValue, bounds: [Double], name: String, labels: String, to output: inout String
  ) {
    let prefix = labels.isEmpty ? "" : labels + ","
    var cumulated: UInt64 = 0
    for (index, count) in value.counts.enumerated() {
      cumulated += count
      let bound = index < bounds.count ? format(bounds[index]) : "+Inf"
      output += "\(name)_bucket{\(prefix)le=\"\(bound)\"} \(cumulated)\n"
    }
    let suffix = labels.isEmpty ? "" : "{\(labels)}"
    output += "\(name)_sum\(suffix) \(format(value.sum))\n\(name)_count\(suffix) \(cumulated)\n"
  }

  static func format(_ value: Double) -> String {
    if value.isNaN { return "NaN" }
    if value.isInfinite { return value > 0 ? "+Inf" : "-Inf" }
    if value.rounded(.towardZero) == value, abs(value) < 1e15 { return String(Int64(value)) }
    return value.description
  }

  private static func escapeHelp(_ text: String) -> String {
    var result = ""
    for scalar in text.unicodeScalars {
      switch scalar {
      case "\\": result += "\\\\"
      case "\n": result += "\\n"
      default: result.unicodeScalars.append(scalar)
      }
    }
    return result
  }
}
