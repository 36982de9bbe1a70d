import ServingTypes

/// Reads little-endian values one after another, each checked against the end of the bytes.
struct GGUFCursor {
  let bytes: UnsafeRawBufferPointer
  /// The file's name, for messages.
  let name: String
  private(set) var offset: Int

  init(_ bytes: UnsafeRawBufferPointer, name: String, offset: Int = 0) {
    self.bytes = bytes
    self.name = name
    self.offset = offset
  }

  var remaining: Int { bytes.count - offset }

  func error(_ field: String, at position: Int, _ problem: String, code: ServingError.Code = .dataLoss) -> ServingError
  {
    ServingError(code, "\(name): \(field) at byte \(position): \(problem)")
  }

  mutating func integer<Value: FixedWidthInteger>(
    _ field: @autoclosure () -> String, as type: Value.Type = Value.self
  ) throws(ServingError) -> Value {
    let start = try skip(MemoryLayout<Value>.size, field())
    return Value(littleEndian: bytes.loadUnaligned(fromByteOffset: start, as: Value.self))
  }

  /// Steps over `count` bytes and returns where they start.
  @discardableResult
  mutating func skip(_ count: Int, _ field: @autoclosure () -> String) throws(ServingError) -> Int {
    guard count <= remaining else {
      throw error(field(), at: offset, "needs \(count) bytes, the file has \(remaining) left")
    }
    defer { offset += count }
    return offset
  }

  /// A string's bytes: a 64-bit length, then that many bytes, of any value.
  mutating func stringBytes(
    _ field: @autoclosure () -> String, limit: Int = .max
  ) throws(ServingError) -> Range<Int> {
    let start = offset
    let length: UInt64 = try integer(field())
    guard length <= UInt64(limit) else {
      throw error(field(), at: start, "is \(length) bytes long, at most \(limit) are allowed")
    }
    guard length <= UInt64(remaining) else {
      throw error(field(), at: start, "is \(length) bytes long, the file has \(remaining) left")
    }
    let first = try skip(Int(length), field())
    return first..<first + Int(length)
  }

  /// A string that must be valid UTF-8.
  mutating func string(_ field: @autoclosure () -> String, limit: Int = .max) throws(ServingError) -> String {
    let range = try stringBytes(field(), limit: limit)
    guard let string = String(validating: UnsafeRawBufferPointer(rebasing: bytes[range]), as: UTF8.self) else {
      throw error(field(), at: range.lowerBound, "is not valid UTF-8")
    }
    return string
  }
}
