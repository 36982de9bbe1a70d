/// Reads protobuf's wire format from the first bytes of a message, without touching what it skips.
///
/// `bytes` may be shorter than the message: a large payload is then skipped unseen, and reading anything beyond `bytes`
/// fails with `needsMoreBytes`. Every length is checked before use.
/// - SeeAlso: protobuf.dev, "Encoding".
struct WireReader {
  enum WireType: UInt64 {
    case varint = 0
    case fixed64 = 1
    case lengthDelimited = 2
    case fixed32 = 5
  }

  struct Field: Equatable {
    var number: Int
    var type: WireType
  }

  private let bytes: UnsafeRawBufferPointer
  private(set) var position: Int
  private let end: Int

  /// Reads `range` of a message whose first bytes are `bytes`.
  init(bytes: UnsafeRawBufferPointer, range: Range<Int>) {
    self.bytes = bytes
    position = range.lowerBound
    end = range.upperBound
  }

  var isAtEnd: Bool { position >= end }

  /// The next field's key.
  mutating func field() throws(WireError) -> Field {
    let key = try varint("a field's key")
    guard let type = WireType(rawValue: key & 7) else {
      throw .malformed("field \(key >> 3) has the wire type \(key & 7), which is not in use")
    }
    let number = key >> 3
    guard number >= 1, number < 1 << 29 else { throw .malformed("a field has the number \(number)") }
    return Field(number: Int(number), type: type)
  }

  mutating func varint(_ name: String) throws(WireError) -> UInt64 {
    var value: UInt64 = 0
    var shift: UInt64 = 0
    while true {
      let byte = try self.byte(name)
      // The tenth byte has room for one bit.
      guard shift < 63 || byte <= 1 else { throw .malformed("\(name) does not fit 64 bits") }
      value |= UInt64(byte & 0x7f) << shift
      if byte < 0x80 { return value }
      shift += 7
    }
  }

  /// A `uint32` field's value. Longer values are refused, not cut off: nobody means them.
  mutating func uint32(_ name: String, _ field: Field) throws(WireError) -> UInt32 {
    try expect(.varint, field, name)
    guard let value = UInt32(exactly: try varint(name)) else { throw .malformed("\(name) does not fit 32 bits") }
    return value
  }

  mutating func fixed32(_ name: String, _ field: Field) throws(WireError) -> UInt32 {
    try expect(.fixed32, field, name)
    var value: UInt32 = 0
    for shift in stride(from: UInt32(0), to: 32, by: 8) { value |= UInt32(try byte(name)) << shift }
    return value
  }

  /// Where the bytes of a length-delimited field lie in the message; they are skipped.
  mutating func range(_ name: String, _ field: Field) throws(WireError) -> Range<Int> {
    try expect(.lengthDelimited, field, name)
    let count = try varint("the length of \(name)")
    guard count <= UInt64(end - position) else {
      throw .malformed("\(name) is \(count) bytes long; its message has \(end - position) left")
    }
    let range = position..<position + Int(count)
    position = range.upperBound
    return range
  }

  /// The bytes at `range` of the message.
  func slice(_ range: Range<Int>) throws(WireError) -> UnsafeRawBufferPointer {
    guard range.upperBound <= bytes.count else { throw .needsMoreBytes }
    return UnsafeRawBufferPointer(rebasing: bytes[range])
  }

  /// A reader of the message nested at `range`.
  func nested(_ range: Range<Int>) -> WireReader { WireReader(bytes: bytes, range: range) }

  mutating func skip(_ field: Field) throws(WireError) {
    let name = "field \(field.number)"
    switch field.type {
    case .varint: _ = try varint(name)
    case .fixed64: try advance(8, name)
    case .lengthDelimited: _ = try range(name, field)
    case .fixed32: try advance(4, name)
    }
  }

  private mutating func advance(_ count: Int, _ name: String) throws(WireError) {
    guard count <= end - position else { throw .malformed("the message ends inside \(name)") }
    position += count
  }

  private func expect(_ type: WireType, _ field: Field, _ name: String) throws(WireError) {
    guard field.type == type else { throw .malformed("\(name) has the wire type \(field.type)") }
  }

  private mutating func byte(_ name: String) throws(WireError) -> UInt8 {
    guard position < end else { throw .malformed("the message ends inside \(name)") }
    guard position < bytes.count else { throw .needsMoreBytes }
    defer { position += 1 }
    return bytes[position]
  }
}
