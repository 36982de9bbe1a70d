import Foundation

/// Reads a request's JSON and says which field is wrong when it is.
enum WireDecoder {
  static func decode<Value: Decodable>(_ type: Value.Type, from body: [UInt8]) throws(APIError) -> Value {
    guard String(validating: body, as: UTF8.self) != nil else {
      throw APIError.invalid(nil, "the body is not valid UTF-8")
    }
    do {
      return try JSONDecoder().decode(type, from: Data(body))
    } catch let error as DecodingError {
      throw explain(error)
    } catch {
      throw APIError(error)
    }
  }

  private static func explain(_ error: DecodingError) -> APIError {
    switch error {
    case .typeMismatch(let type, let context), .valueNotFound(let type, let context):
      let path = text(of: context.codingPath)
      return .invalid(path, "\(path ?? "the body") must be \(name(of: type))")
    case .keyNotFound(let key, let context):
      let path = text(of: context.codingPath + [key])
      return .invalid(path, "\(path ?? key.stringValue) is missing")
    case .dataCorrupted(let context):
      if let path = text(of: context.codingPath) { return .invalid(path, "\(path): \(context.debugDescription)") }
      let reason = context.underlyingError.map { "\($0)" } ?? context.debugDescription
      return .invalid(nil, "the body is not valid JSON: \(reason)")
    @unknown default: return .invalid(nil, "the body is not what this path expects")
    }
  }

  /// `messages[0].content`; nil for the body itself.
  static func text(of path: [any CodingKey]) -> String? {
    var result = ""
    for key in path {
      if let index = key.intValue {
        result += "[\(index)]"
      } else {
        result += result.isEmpty ? key.stringValue : ".\(key.stringValue)"
      }
    }
    return result.isEmpty ? nil : result
  }

  private static func name(of type: any Any.Type) -> String {
    switch type {
    case is String.Type: "a string"
    case is Bool.Type: "true or false"
    case is Int.Type, is Int32.Type, is Int64.Type, is UInt64.Type: "an integer"
    case is Float.Type, is Double.Type: "a number"
    case is any Collection.Type where "\(type)".hasPrefix("Dictionary"): "an object"
    case is any Collection.Type: "an array"
    default: "of another type"
    }
  }
}
