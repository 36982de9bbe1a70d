/// Reads JSON (RFC 8259) strictly, and says where it is wrong when it is.
///
/// Of a name that is given twice the last value counts. Nesting is limited, so that no body can exhaust the stack.
struct WireReader {
  static let maximumDepth = 64

  private let bytes: [UInt8]
  private var place = 0

  static func read(_ bytes: [UInt8]) throws(APIError) -> WireValue {
    guard String(validating: bytes, as: UTF8.self) != nil else { throw .invalid(nil, "the body is not valid UTF-8") }
    var reader = WireReader(bytes: bytes)
    let value = try reader.value(depth: 0)
    reader.skipSpace()
    if reader.place < bytes.count { throw reader.error("nothing more is expected") }
    return value
  }

  private init(bytes: [UInt8]) { self.bytes = bytes }

  private var next: UInt8? { place < bytes.count ? bytes[place] : nil }

  private func error(_ reason: String) -> APIError {
    var line = 1
    var column = 1
    for byte in bytes[..<place] {
      if byte == UInt8(ascii: "\n") { (line, column) = (line + 1, 0) }
      if byte & 0xC0 != 0x80 { column += 1 }
    }
    return .invalid(nil, "the body is not valid JSON: \(reason), at line \(line), column \(max(1, column))")
  }

  private mutating func skipSpace() {
    while let byte = next, byte == 0x20 || byte == 0x0A || byte == 0x0D || byte == 0x09 { place += 1 }
  }

  private mutating func take(_ character: Unicode.Scalar) -> Bool {
    guard next == UInt8(ascii: character) else { return false }
    place += 1
    return true
  }

  private mutating func value(depth: Int) throws(APIError) -> WireValue {
    skipSpace()
    guard let byte = next else { throw error("a value is missing") }
    if depth > Self.maximumDepth { throw error("it is nested deeper than \(Self.maximumDepth) levels") }
    switch byte {
    case UInt8(ascii: "{"): return .object(try object(depth: depth))
    case UInt8(ascii: "["): return .array(try array(depth: depth))
    case UInt8(ascii: "\""): return .string(try string())
    case UInt8(ascii: "t"): return try literal("true", .boolean(true))
    case UInt8(ascii: "f"): return try literal("false", .boolean(false))
    case UInt8(ascii: "n"): return try literal("null", .null)
    case UInt8(ascii: "-"), UInt8(ascii: "0")...UInt8(ascii: "9"): return try number()
    default: throw error("a value is expected")
    }
  }

  private mutating func literal(_ text: StaticString, _ value: WireValue) throws(APIError) -> WireValue {
    let end = place + text.utf8CodeUnitCount
    let matches = text.withUTF8Buffer { expected in end <= bytes.count && bytes[place..<end].elementsEqual(expected) }
    guard matches else { throw error("'\(text)' is expected") }
    place = end
    return value
  }

  private mutating func object(depth: Int) throws(APIError) -> [String: WireValue] {
    place += 1
    var fields: [String: WireValue] = [:]
    skipSpace()
    if take("}") { return fields }
    while true {
      skipSpace()
      guard next == UInt8(ascii: "\"") else { throw error("a field's name is expected") }
      let name = try string()
      skipSpace()
      guard take(":") else { throw error("':' is expected") }
      fields[name] = try value(depth: depth + 1)
      skipSpace()
      if take("}") { return fields }
      guard take(",") else { throw error("',' or '}' is expected") }
    }
  }

  private mutating func array(depth: Int) throws(APIError) -> [WireValue] {
    place += 1
    var elements: [WireValue] = []
    skipSpace()
    if take("]") { return elements }
    while true {
      elements.append(try value(depth: depth + 1))
      skipSpace()
      if take("]") { return elements }
      guard take(",") else { throw error("',' or ']' is expected") }
    }
  }

  private mutating func string() throws(APIError) -> String {
    place += 1
    var start = place
    var result = ""
    while let byte = next {
      switch byte {
      case UInt8(ascii: "\""):
        result += String(decoding: bytes[start..<place], as: UTF8.self)
        place += 1
        return result
      case UInt8(ascii: "\\"):
        result += String(decoding: bytes[start..<place], as: UTF8.self)
        place += 1
        result.unicodeScalars.append(try escape())
        start = place
      case 0..<0x20: throw error("a control character in a string must be escaped")
      default: place += 1
      }
    }
    throw error("a string is not closed")
  }

  private mutating func escape() throws(APIError) -> Unicode.Scalar {
    guard let byte = next else { throw error("a string is not closed") }
    place += 1
    switch byte {
    case UInt8(ascii: "\""): return "\""
    case UInt8(ascii: "\\"): return "\\"
    case UInt8(ascii: "/"): return "/"
    case UInt8(ascii: "b"): return "\u{8}"
    case UInt8(ascii: "f"): return "\u{C}"
    case UInt8(ascii: "n"): return "\n"
    case UInt8(ascii: "r"): return "\r"
    case UInt8(ascii: "t"): return "\t"
    case UInt8(ascii: "u"): break
    default: throw error("an unknown escape")
    }
    let unit = try hexDigits()
    if let scalar = Unicode.Scalar(unit) { return scalar }
    if (0xD800..<0xDC00).contains(unit), take("\\"), take("u") {
      let low = try hexDigits()
      if (0xDC00..<0xE000).contains(low),
        let scalar = Unicode.Scalar(0x10000 + (unit - 0xD800) << 10 + (low - 0xDC00))
      {
        return scalar
      }
    }
    throw error("half of a surrogate pair")
  }

  private mutating func hexDigits() throws(APIError) -> UInt32 {
    var value: UInt32 = 0
    for _ in 0..<4 {
      guard let byte = next, let digit = Character(Unicode.Scalar(byte)).hexDigitValue, byte < 0x80 else {
        throw error("four hexadecimal digits are expected")
      }
      value = value << 4 | UInt32(digit)
      place += 1
    }
    return value
  }

  private mutating func number() throws(APIError) -> WireValue {
    let start = place
    var isInteger = true
    _ = take("-")
    if !take("0"), digits() == 0 { throw error("a digit is expected") }
    if take(".") {
      isInteger = false
      if digits() == 0 { throw error("a digit is expected") }
    }
    if take("e") || take("E") {
      isInteger = false
      if !take("-") { _ = take("+") }
      if digits() == 0 { throw error("a digit is expected") }
    }
    let text = String(decoding: bytes[start..<place], as: UTF8.self)
    if isInteger, let value = Int128(text), value >= Int128(Int64.min), value <= Int128(UInt64.max) {
      return .integer(value)
    }
    guard let value = Double(text), value.isFinite else { throw error("a number is out of range") }
    return .number(value)
  }

  private mutating func digits() -> Int {
    let start = place
    while let byte = next, (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) { place += 1 }
    return place - start
  }
}
