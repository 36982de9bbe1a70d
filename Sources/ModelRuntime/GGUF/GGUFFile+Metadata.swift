import ServingTypes
import Tokenization

/// Typed access to the metadata. A key that is missing, or holds another type, throws `dataLoss` and names itself.
extension GGUFFile {
  /// A string.
  public func string(_ key: String) throws(ServingError) -> String { try required(key, optionalString(key)) }

  /// A string, or nil where the key is missing.
  public func optionalString(_ key: String) throws(ServingError) -> String? {
    guard let value = metadata[key] else { return nil }
    guard case .string(let string) = value else { throw mismatch(key, value, "a string") }
    return string
  }

  /// An integer of any width that fits `Int`.
  public func int(_ key: String) throws(ServingError) -> Int { try required(key, optionalInt(key)) }

  /// An integer of any width, or nil where the key is missing.
  public func optionalInt(_ key: String) throws(ServingError) -> Int? {
    guard let value = metadata[key] else { return nil }
    let exact: Int? =
      switch value {
      case .unsigned(let number): Int(exactly: number)
      case .signed(let number): Int(exactly: number)
      default: nil
      }
    guard let exact else { throw mismatch(key, value, "an integer") }
    return exact
  }

  /// A 32-bit or 64-bit float.
  public func float(_ key: String) throws(ServingError) -> Float { try required(key, optionalFloat(key)) }

  /// A float, or nil where the key is missing.
  public func optionalFloat(_ key: String) throws(ServingError) -> Float? {
    guard let value = metadata[key] else { return nil }
    guard case .float(let number) = value else { throw mismatch(key, value, "a float") }
    return Float(number)
  }

  /// A bool.
  public func bool(_ key: String) throws(ServingError) -> Bool { try required(key, optionalBool(key)) }

  /// A bool, or nil where the key is missing.
  public func optionalBool(_ key: String) throws(ServingError) -> Bool? {
    guard let value = metadata[key] else { return nil }
    guard case .bool(let flag) = value else { throw mismatch(key, value, "a bool") }
    return flag
  }

  /// An array of strings, each valid UTF-8.
  public func strings(_ key: String) throws(ServingError) -> [String] { try required(key, optionalStrings(key)) }

  /// An array of strings, each valid UTF-8.
  public func optionalStrings(_ key: String) throws(ServingError) -> [String]? {
    guard let array = try array(key, "an array of strings", where: { $0 == .string }) else { return nil }
    var cursor = GGUFCursor(storage.bytes, name: name, offset: array.range.lowerBound)
    var strings: [String] = []
    strings.reserveCapacity(array.count)
    for index in 0..<array.count { strings.append(try cursor.string("\(key)[\(index)]")) }
    return strings
  }

  /// An array of strings whose bytes need not be UTF-8.
  public func byteStrings(_ key: String) throws(ServingError) -> ByteStrings {
    try required(key, optionalByteStrings(key))
  }

  /// An array of strings whose bytes need not be UTF-8, as vocabularies may have them; far faster than `strings`.
  public func optionalByteStrings(_ key: String) throws(ServingError) -> ByteStrings? {
    guard let array = try array(key, "an array of strings", where: { $0 == .string }) else { return nil }
    guard array.range.count <= Int(UInt32.max) else {
      throw ServingError(.dataLoss, "\(name): \(key) takes \(array.range.count) bytes; 4 GiB is the most")
    }
    var strings = ByteStrings()
    strings.reserveCapacity(strings: array.count, bytes: array.range.count - 8 * array.count)
    var cursor = GGUFCursor(storage.bytes, name: name, offset: array.range.lowerBound)
    for _ in 0..<array.count {
      let range = try cursor.stringBytes(key)
      strings.append(UnsafeRawBufferPointer(rebasing: storage.bytes[range]))
    }
    return strings
  }

  /// An array of integers of any one width.
  public func ints(_ key: String) throws(ServingError) -> [Int] { try required(key, optionalInts(key)) }

  /// An array of integers of any one width.
  public func optionalInts(_ key: String) throws(ServingError) -> [Int]? {
    let isInteger: (GGUFValueType) -> Bool = { type in
      switch type {
      case .uint8, .int8, .uint16, .int16, .uint32, .int32, .uint64, .int64: true
      case .float32, .float64, .bool, .string, .array: false
      }
    }
    guard let array = try array(key, "an array of integers", where: isInteger) else { return nil }
    switch array.elementType {
    case .uint8: return try integers(array, key, UInt8.self)
    case .int8: return try integers(array, key, Int8.self)
    case .uint16: return try integers(array, key, UInt16.self)
    case .int16: return try integers(array, key, Int16.self)
    case .uint32: return try integers(array, key, UInt32.self)
    case .int32: return try integers(array, key, Int32.self)
    case .uint64: return try integers(array, key, UInt64.self)
    default: return try integers(array, key, Int64.self)
    }
  }

  /// An array of 32-bit or 64-bit floats.
  public func floats(_ key: String) throws(ServingError) -> [Float] { try required(key, optionalFloats(key)) }

  /// An array of 32-bit or 64-bit floats.
  public func optionalFloats(_ key: String) throws(ServingError) -> [Float]? {
    guard let array = try array(key, "an array of floats", where: { $0 == .float32 || $0 == .float64 }) else {
      return nil
    }
    if array.elementType == .float32 {
      return elements(array, UInt32.self).map { Float(bitPattern: $0) }
    }
    return elements(array, UInt64.self).map { Float(Double(bitPattern: $0)) }
  }

  private func required<Value>(_ key: String, _ value: Value?) throws(ServingError) -> Value {
    guard let value else { throw ServingError(.dataLoss, "\(name): \(key) is missing") }
    return value
  }

  private func mismatch(_ key: String, _ value: GGUFValue, _ wanted: String) -> ServingError {
    ServingError(.dataLoss, "\(name): \(key) is \(value.kind) where \(wanted) is needed")
  }

  private func array(
    _ key: String, _ wanted: String, where accepts: (GGUFValueType) -> Bool
  ) throws(ServingError) -> GGUFArray? {
    guard let value = metadata[key] else { return nil }
    guard case .array(let array) = value, accepts(array.elementType) else { throw mismatch(key, value, wanted) }
    return array
  }

  private func elements<Value: FixedWidthInteger>(_ array: GGUFArray, _ type: Value.Type) -> [Value] {
    let stride = MemoryLayout<Value>.size
    return [Value](unsafeUninitializedCapacity: array.count) { buffer, count in
      for index in 0..<array.count {
        let raw = storage.bytes.loadUnaligned(fromByteOffset: array.range.lowerBound + index * stride, as: Value.self)
        buffer.initializeElement(at: index, to: Value(littleEndian: raw))
      }
      count = array.count
    }
  }

  private func integers<Value: FixedWidthInteger>(
    _ array: GGUFArray, _ key: String, _ type: Value.Type
  ) throws(ServingError) -> [Int] {
    var result: [Int] = []
    result.reserveCapacity(array.count)
    for (index, value) in elements(array, type).enumerated() {
      guard let exact = Int(exactly: value) else {
        throw ServingError(.dataLoss, "\(name): \(key)[\(index)] is \(value), too large")
      }
      result.append(exact)
    }
    return result
  }
}
