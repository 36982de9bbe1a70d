/// A metadata value; integers and floats of every width are widened without loss.
public enum GGUFValue: Hashable, Sendable {
  case unsigned(UInt64)
  case signed(Int64)
  case float(Double)
  case bool(Bool)
  case string(String)
  case array(GGUFArray)

  /// What the value is, for messages.
  var kind: String {
    switch self {
    case .unsigned: "an unsigned integer"
    case .signed: "a signed integer"
    case .float: "a float"
    case .bool: "a bool"
    case .string: "a string"
    case .array(let array): "an array of \(array.elementType)"
    }
  }
}
