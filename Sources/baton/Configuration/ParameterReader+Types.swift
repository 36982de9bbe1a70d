import RPC
import ServingTypes

extension ParameterReader {
  mutating func string(_ key: String, flag: String?, default value: String, aliases: [String] = []) -> String {
    let found = optional(key, flag: flag, aliases: aliases, expected: "a text") { $0 }
    noteDefault(value)
    return found ?? value
  }

  mutating func string(_ key: String, flag: String?, secret: Bool = false) -> String? {
    optional(key, flag: flag, secret: secret, expected: "a text that is not empty") { $0.isEmpty ? nil : $0 }
  }

  /// Where a server listens or is found, checked before anything is loaded: libgrpc itself takes port 99999 for 34463.
  mutating func address(_ key: String, flag: String?, default value: String) -> String {
    let found = optionalAddress(key, flag: flag)
    noteDefault(value)
    return found ?? value
  }

  mutating func optionalAddress(_ key: String, flag: String?) -> String? {
    optional(key, flag: flag, expected: "host:port, with a port from 0 to 65535, or unix:path") { text in
      (try? ServerAddress(text)).map { _ in text }
    }
  }

  /// A host and a port, or `none`.
  mutating func networkAddress(_ key: String, flag: String?, default value: String) -> String? {
    let found = optional(key, flag: flag, expected: "host:port, with a port from 0 to 65535, or none") { text in
      text == "none" || (try? ServerAddress(text))?.port != nil ? text : nil
    }
    noteDefault(value)
    let address = found ?? value
    return address == "none" ? nil : address
  }

  /// A text without which nothing can start.
  mutating func required(_ key: String, flag: String?) -> String {
    if let value = string(key, flag: flag) { return value }
    if readings.last?.source == .builtIn {
      note(
        problem:
          "\(key) is missing: give \(Self.flagName(key)), \(Self.variableName(key)) or the key \(key) in the file")
    }
    return ""
  }

  mutating func integer(
    _ key: String, flag: String?, default value: Int, in range: ClosedRange<Int>, aliases: [String] = []
  ) -> Int {
    let found = optionalInteger(key, flag: flag, in: range, aliases: aliases)
    noteDefault(String(value))
    return found ?? value
  }

  mutating func optionalInteger(
    _ key: String, flag: String?, in range: ClosedRange<Int>, aliases: [String] = []
  ) -> Int? {
    let most =
      range.upperBound == Int.max ? "\(range.lowerBound) or more" : "\(range.lowerBound) to \(range.upperBound)"
    return optional(key, flag: flag, aliases: aliases, expected: "a whole number, \(most)") { text in
      Int(text).flatMap { range.contains($0) ? $0 : nil }
    }
  }

  mutating func number(
    _ key: String, flag: String?, default value: Double, in range: ClosedRange<Double>, aliases: [String] = []
  ) -> Double {
    let found = optional(
      key, flag: flag, aliases: aliases, expected: "a number from \(range.lowerBound) to \(range.upperBound)"
    ) { text in Double(text).flatMap { range.contains($0) ? $0 : nil } }
    noteDefault("\(value)")
    return found ?? value
  }

  mutating func boolean(_ key: String, flag: Bool?, default value: Bool, aliases: [String] = []) -> Bool {
    let found = optionalBoolean(key, flag: flag, aliases: aliases)
    noteDefault(String(value))
    return found ?? value
  }

  mutating func optionalBoolean(_ key: String, flag: Bool?, aliases: [String] = []) -> Bool? {
    optional(key, flag: flag.map { String($0) }, aliases: aliases, expected: "true or false") { text in
      switch text.lowercased() {
      case "true", "yes", "on", "1": true
      case "false", "no", "off", "0": false
      default: nil
      }
    }
  }

  mutating func duration(_ key: String, flag: String?, default value: Duration) -> Duration {
    let found = optional(key, flag: flag, expected: "a time such as 50ms, 1.5s or 2m", parse: parseDuration)
    noteDefault(durationText(value))
    return found ?? value
  }

  /// A time that must not be zero.
  mutating func positiveDuration(_ key: String, flag: String?, default value: Duration) -> Duration {
    let found = duration(key, flag: flag, default: value)
    if found <= .zero { note(problem: "\(key) is \(durationText(found)); it must be more than 0s") }
    return found
  }

  mutating func optionalByteCount(_ key: String, flag: String?) -> Int? {
    optional(key, flag: flag, expected: "a size such as 512MiB or 4GiB", parse: parseByteCount)
  }

  /// One of the cases, by raw value.
  mutating func choice<Value: RawRepresentable & CaseIterable>(
    _ key: String, flag: String?, default value: Value, aliases: [String] = []
  ) -> Value where Value.RawValue == String {
    choice(key, flag: flag, default: value, among: Array(Value.allCases), aliases: aliases)
  }

  /// One of some of the cases, by raw value.
  mutating func choice<Value: RawRepresentable>(
    _ key: String, flag: String?, default value: Value, among cases: [Value], aliases: [String] = []
  ) -> Value where Value.RawValue == String {
    let expected = cases.map(\.rawValue).joined(separator: ", ")
    let found = optional(key, flag: flag, aliases: aliases, expected: "one of \(expected)") { text in
      cases.first { $0.rawValue == text }
    }
    noteDefault(value.rawValue)
    return found ?? value
  }

  /// Texts separated by commas; a file may give a list.
  mutating func list(_ key: String, flag: String?) -> [String] {
    let found = optional(key, flag: flag, expected: "a list separated by commas") { text in
      text.split(separator: ",").map { $0.trimming() }.filter { !$0.isEmpty }
    }
    return found ?? []
  }
}

extension Substring {
  /// Without blanks at either end.
  fileprivate func trimming() -> String {
    var rest = self
    while rest.first?.isWhitespace == true { rest.removeFirst() }
    while rest.last?.isWhitespace == true { rest.removeLast() }
    return String(rest)
  }
}
