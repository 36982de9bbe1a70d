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

/// Where an array's elements lie in the file; they are decoded when asked for, since vocabularies are large.
public struct GGUFArray: Hashable, Sendable {
  public let elementType: GGUFValueType
  public let count: Int
  /// Byte offsets in the file, already checked to hold `count` elements.
  let range: Range<Int>
}

/// The type of a metadata value, by its number in the file.
public enum GGUFValueType: UInt32, Hashable, Sendable {
  case uint8 = 0
  case int8, uint16, int16, uint32, int32, float32, bool, string, array, uint64, int64, float64

  /// Bytes of one value; nil for strings and arrays.
  var byteCount: Int? {
    switch self {
    case .uint8, .int8, .bool: 1
    case .uint16, .int16: 2
    case .uint32, .int32, .float32: 4
    case .uint64, .int64, .float64: 8
    case .string, .array: nil
    }
  }
}
