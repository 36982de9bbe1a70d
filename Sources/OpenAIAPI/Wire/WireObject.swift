/// A JSON object and its place in the body; its getters name the field that is wrong. A field that is `null` is absent.
struct WireObject {
  let fields: [String: WireValue]
  /// `messages[0]`; empty for the body itself.
  let path: String

  init(_ value: WireValue, path: String = "") throws(APIError) {
    guard case .object(let fields) = value else {
      throw .invalid(path.isEmpty ? nil : path, "\(path.isEmpty ? "the body" : path) must be an object")
    }
    self.fields = fields
    self.path = path
  }

  func path(of name: String) -> String { path.isEmpty ? name : "\(path).\(name)" }

  func value(_ name: String) -> WireValue? {
    let value = fields[name]
    return value == .null ? nil : value
  }

  func required(_ name: String) throws(APIError) -> WireValue {
    guard let value = value(name) else { throw .invalid(path(of: name), "\(path(of: name)) is missing") }
    return value
  }

  func string(_ name: String) throws(APIError) -> String? {
    guard let value = value(name) else { return nil }
    guard case .string(let text) = value else { throw mismatch(name, "a string") }
    return text
  }

  func boolean(_ name: String) throws(APIError) -> Bool? {
    guard let value = value(name) else { return nil }
    guard case .boolean(let flag) = value else { throw mismatch(name, "true or false") }
    return flag
  }

  func integer<Result: FixedWidthInteger>(_ name: String, as type: Result.Type = Int.self) throws(APIError) -> Result? {
    guard let value = value(name) else { return nil }
    return try Self.integer(value, path: path(of: name))
  }

  func number(_ name: String) throws(APIError) -> Float? {
    guard let value = value(name) else { return nil }
    return try Self.number(value, path: path(of: name))
  }

  func array(_ name: String) throws(APIError) -> [WireValue]? {
    guard let value = value(name) else { return nil }
    guard case .array(let elements) = value else { throw mismatch(name, "an array") }
    return elements
  }

  func object(_ name: String) throws(APIError) -> WireObject? {
    guard let value = value(name) else { return nil }
    return try WireObject(value, path: path(of: name))
  }

  private func mismatch(_ name: String, _ expected: String) -> APIError {
    .invalid(path(of: name), "\(path(of: name)) must be \(expected)")
  }

  /// An integer, which may be written as 16.0.
  static func integer<Result: FixedWidthInteger>(
    _ value: WireValue, as type: Result.Type = Result.self, path: String
  ) throws(APIError) -> Result {
    let result: Result? =
      switch value {
      case .integer(let integer): Result(exactly: integer)
      case .number(let number): Result(exactly: number)
      default: nil
      }
    if let result { return result }
    switch value {
    case .integer: throw .invalid(path, "\(path) is out of range; it must be between \(Result.min) and \(Result.max)")
    default: throw .invalid(path, "\(path) must be an integer")
    }
  }

  static func number(_ value: WireValue, path: String) throws(APIError) -> Float {
    switch value {
    case .integer(let integer): return Float(integer)
    case .number(let number):
      let result = Float(number)
      guard result.isFinite else { throw .invalid(path, "\(path) is out of range") }
      return result
    default: throw .invalid(path, "\(path) must be a number")
    }
  }
}
