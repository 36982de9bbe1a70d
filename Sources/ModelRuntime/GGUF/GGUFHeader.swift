import ServingTypes

/// What stands before the tensors' data: metadata and the directory of tensors, all of it checked.
struct GGUFHeader {
  static let version: UInt32 = 3
  static let defaultAlignment = 32
  static let largestKey = 65_535
  static let largestTensorName = 255
  static let largestDimensionCount = 4

  var metadata: [String: GGUFValue] = [:]
  var tensors: [GGUFTensorInfo] = []
  var tensorIndices: [String: Int] = [:]
  /// Bytes up to the end of the directory.
  var headerBytes = 0

  /// Reads the header of `bytes`; `name` is the file's, for messages.
  init(parsing bytes: UnsafeRawBufferPointer, name: String) throws(ServingError) {
    var cursor = GGUFCursor(bytes, name: name)
    let magic: UInt32 = try cursor.integer("magic")
    guard magic == 0x4655_4747 else {
      throw cursor.error("magic", at: 0, "is not \"GGUF\": this is no GGUF file", code: .invalidArgument)
    }
    let version: UInt32 = try cursor.integer("version")
    guard version == Self.version else {
      let problem =
        version.byteSwapped == Self.version
        ? "the file is big-endian, only little-endian files are supported"
        : "is \(version), only version 3 is supported"
      throw cursor.error("version", at: 4, problem, code: .invalidArgument)
    }
    // The smallest entry of each kind bounds the counts before anything is read or allocated for them.
    let tensorCount = try Self.count(&cursor, "tensor count", smallestEntry: 8 + 4 + 8 + 4 + 8)
    let metadataCount = try Self.count(&cursor, "metadata count", smallestEntry: 8 + 4 + 1)
    for index in 0..<metadataCount { try readMetadata(&cursor, index: index) }
    let alignment = try readAlignment(cursor)
    var raw: [RawTensor] = []
    for index in 0..<tensorCount { raw.append(try Self.readTensor(&cursor, index: index)) }
    headerBytes = cursor.offset
    try place(raw, alignment: alignment, cursor: cursor)
  }

  private static func count(
    _ cursor: inout GGUFCursor, _ field: String, smallestEntry: Int
  ) throws(ServingError) -> Int {
    let start = cursor.offset
    let count: UInt64 = try cursor.integer(field)
    guard count <= UInt64(cursor.remaining / smallestEntry) else {
      throw cursor.error(field, at: start, "is \(count), more than the file's \(cursor.bytes.count) bytes can hold")
    }
    return Int(count)
  }

  private mutating func readMetadata(_ cursor: inout GGUFCursor, index: Int) throws(ServingError) {
    let start = cursor.offset
    let key = try cursor.string("key \(index)", limit: Self.largestKey)
    guard !key.isEmpty else { throw cursor.error("key \(index)", at: start, "is empty") }
    let type = try Self.valueType(&cursor, key)
    let value = try Self.value(&cursor, key, type)
    guard metadata.updateValue(value, forKey: key) == nil else {
      throw cursor.error(key, at: start, "appears twice")
    }
  }

  private static func valueType(_ cursor: inout GGUFCursor, _ key: String) throws(ServingError) -> GGUFValueType {
    let start = cursor.offset
    let number: UInt32 = try cursor.integer(key)
    guard let type = GGUFValueType(rawValue: number) else {
      throw cursor.error(key, at: start, "has the unknown value type \(number)")
    }
    return type
  }

  private static func value(
    _ cursor: inout GGUFCursor, _ key: String, _ type: GGUFValueType
  ) throws(ServingError) -> GGUFValue {
    switch type {
    case .uint8: return .unsigned(UInt64(try cursor.integer(key, as: UInt8.self)))
    case .uint16: return .unsigned(UInt64(try cursor.integer(key, as: UInt16.self)))
    case .uint32: return .unsigned(UInt64(try cursor.integer(key, as: UInt32.self)))
    case .uint64: return .unsigned(try cursor.integer(key, as: UInt64.self))
    case .int8: return .signed(Int64(try cursor.integer(key, as: Int8.self)))
    case .int16: return .signed(Int64(try cursor.integer(key, as: Int16.self)))
    case .int32: return .signed(Int64(try cursor.integer(key, as: Int32.self)))
    case .int64: return .signed(try cursor.integer(key, as: Int64.self))
    case .float32: return .float(Double(Float(bitPattern: try cursor.integer(key, as: UInt32.self))))
    case .float64: return .float(Double(bitPattern: try cursor.integer(key, as: UInt64.self)))
    case .bool:
      let start = cursor.offset
      let byte: UInt8 = try cursor.integer(key)
      guard byte <= 1 else { throw cursor.error(key, at: start, "is the bool \(byte); it must be 0 or 1") }
      return .bool(byte == 1)
    case .string: return .string(try cursor.string(key))
    case .array: return .array(try array(&cursor, key))
    }
  }

  private static func array(_ cursor: inout GGUFCursor, _ key: String) throws(ServingError) -> GGUFArray {
    let start = cursor.offset
    let type = try valueType(&cursor, key)
    if let size = type.byteCount {
      let count = try Self.count(&cursor, key, smallestEntry: size)
      let first = try cursor.skip(count * size, key)
      return GGUFArray(elementType: type, count: count, range: first..<cursor.offset)
    }
    guard type == .string else {
      throw cursor.error(key, at: start, "is an array of arrays, which is not supported", code: .unimplemented)
    }
    let count = try Self.count(&cursor, key, smallestEntry: 8)
    let first = cursor.offset
    for index in 0..<count { _ = try cursor.stringBytes("\(key)[\(index)]") }
    return GGUFArray(elementType: type, count: count, range: first..<cursor.offset)
  }

  private func readAlignment(_ cursor: GGUFCursor) throws(ServingError) -> Int {
    guard let value = metadata["general.alignment"] else { return Self.defaultAlignment }
    guard case .unsigned(let alignment) = value, alignment.nonzeroBitCount == 1, (8...65_536).contains(alignment) else {
      throw cursor.error(
        "general.alignment", at: cursor.offset, "is \(value); it must be a power of two between 8 and 65536")
    }
    return Int(alignment)
  }
}

/// A directory entry whose place in the file is not yet known.
private struct RawTensor {
  var name: String
  var dimensions: [Int]
  var type: GGUFTensorType
  var elementCount: Int
  var byteCount: Int
  var relativeOffset: UInt64
  var entryOffset: Int
}

extension GGUFHeader {
  private static func readTensor(_ cursor: inout GGUFCursor, index: Int) throws(ServingError) -> RawTensor {
    let entry = cursor.offset
    let name = try cursor.string("name of tensor \(index)", limit: largestTensorName)
    let field = "tensor \"\(name)\""
    let dimensionCount: UInt32 = try cursor.integer(field)
    guard dimensionCount >= 1, dimensionCount <= largestDimensionCount else {
      throw cursor.error(
        field, at: entry, "has \(dimensionCount) dimensions; 1 to \(largestDimensionCount) are allowed")
    }
    var dimensions: [Int] = []
    var elementCount = 1
    for _ in 0..<dimensionCount {
      let size: UInt64 = try cursor.integer(field)
      let (product, overflow) = elementCount.multipliedReportingOverflow(by: Int(truncatingIfNeeded: size))
      guard size >= 1, size <= UInt64(Int.max), !overflow else {
        throw cursor.error(field, at: entry, "has the impossible dimension \(size)")
      }
      dimensions.append(Int(size))
      elementCount = product
    }
    let type = GGUFTensorType(rawValue: try cursor.integer(field))
    let relativeOffset: UInt64 = try cursor.integer(field)
    var byteCount = 0
    if let block = type.block {
      guard dimensions[0] % block.size == 0 else {
        throw cursor.error(
          field, at: entry,
          "has rows of \(dimensions[0]) elements, which blocks of \(block.size) (\(type)) do not divide")
      }
      let (product, overflow) = (elementCount / block.size).multipliedReportingOverflow(by: block.bytes)
      guard !overflow else { throw cursor.error(field, at: entry, "has more elements than memory can hold") }
      byteCount = product
    }
    return RawTensor(
      name: name, dimensions: dimensions, type: type, elementCount: elementCount, byteCount: byteCount,
      relativeOffset: relativeOffset, entryOffset: entry)
  }

  /// Checks that each tensor's data lies inside the file, aligned, and overlaps no other.
  private mutating func place(
    _ raw: [RawTensor], alignment: Int, cursor: GGUFCursor
  ) throws(ServingError) {
    let dataStart = (headerBytes + alignment - 1) / alignment * alignment
    guard raw.isEmpty || dataStart <= cursor.bytes.count else {
      throw cursor.error("tensor data", at: headerBytes, "is missing")
    }
    let dataBytes = max(0, cursor.bytes.count - dataStart)
    for tensor in raw {
      let field = "tensor \"\(tensor.name)\""
      guard tensor.relativeOffset % UInt64(alignment) == 0 else {
        throw cursor.error(
          field, at: tensor.entryOffset, "has the offset \(tensor.relativeOffset), no multiple of \(alignment)")
      }
      guard tensor.relativeOffset <= UInt64(dataBytes), tensor.byteCount <= dataBytes - Int(tensor.relativeOffset)
      else {
        throw cursor.error(
          field, at: tensor.entryOffset,
          "has \(tensor.byteCount) bytes from \(tensor.relativeOffset) on, the file has \(dataBytes) bytes of data")
      }
      guard tensorIndices.updateValue(tensors.count, forKey: tensor.name) == nil else {
        throw cursor.error(field, at: tensor.entryOffset, "appears twice")
      }
      tensors.append(
        GGUFTensorInfo(
          name: tensor.name, dimensions: tensor.dimensions, type: tensor.type, elementCount: tensor.elementCount,
          offset: dataStart + Int(tensor.relativeOffset), byteCount: tensor.byteCount))
    }
    let ordered = tensors.filter { $0.byteCount > 0 }.sorted { $0.offset < $1.offset }
    for (left, right) in zip(ordered, ordered.dropFirst()) where left.offset + left.byteCount > right.offset {
      throw cursor.error("tensor \"\(right.name)\"", at: right.offset, "overlaps tensor \"\(left.name)\"")
    }
  }
}
