import ModelRuntime

/// Builds a GGUF file in memory, well-formed unless told otherwise.
public struct GGUFWriter {
  /// A metadata value with the width it is written in.
  public enum Value: Sendable {
    case uint8(UInt8)
    case uint32(UInt32)
    case int32(Int32)
    case uint64(UInt64)
    case float32(Float)
    case float64(Double)
    case bool(Bool)
    case string(String)
    case strings([String])
    case byteStrings([[UInt8]])
    case floats([Float])
    case int32s([Int32])
    case uint64s([UInt64])
  }

  public var version: UInt32 = 3
  public var alignment = 32
  public var metadata: [(key: String, value: Value)] = []
  private var tensors: [(name: String, dimensions: [Int], type: GGUFTensorType, data: [UInt8])] = []

  public init() {}

  public mutating func set(_ key: String, _ value: Value) { metadata.append((key, value)) }

  /// Adds a tensor; `data` must have the size that type and dimensions ask for.
  public mutating func addTensor(_ name: String, dimensions: [Int], type: GGUFTensorType, data: [UInt8]) {
    tensors.append((name, dimensions, type, data))
  }

  /// Adds an `F32` tensor.
  public mutating func addTensor(_ name: String, dimensions: [Int], floats: [Float]) {
    addTensor(
      name, dimensions: dimensions, type: .f32,
      data: floats.flatMap { value in withUnsafeBytes(of: value.bitPattern.littleEndian) { Array($0) } })
  }

  /// The whole file.
  public func bytes() -> [UInt8] {
    var output: [UInt8] = Array("GGUF".utf8)
    append(version, to: &output)
    append(UInt64(tensors.count), to: &output)
    append(UInt64(metadata.count), to: &output)
    for (key, value) in metadata {
      append(Array(key.utf8), to: &output)
      append(value, to: &output)
    }
    var offset = 0
    for tensor in tensors {
      append(Array(tensor.name.utf8), to: &output)
      append(UInt32(tensor.dimensions.count), to: &output)
      for size in tensor.dimensions { append(UInt64(size), to: &output) }
      append(tensor.type.rawValue, to: &output)
      append(UInt64(offset), to: &output)
      offset = aligned(offset + tensor.data.count)
    }
    for tensor in tensors {
      output.append(contentsOf: [UInt8](repeating: 0, count: aligned(output.count) - output.count))
      output.append(contentsOf: tensor.data)
    }
    return output
  }

  private func aligned(_ offset: Int) -> Int { (offset + alignment - 1) / alignment * alignment }

  private func append(_ value: some FixedWidthInteger, to output: inout [UInt8]) {
    withUnsafeBytes(of: value.littleEndian) { output.append(contentsOf: $0) }
  }

  private func append(_ string: [UInt8], to output: inout [UInt8]) {
    append(UInt64(string.count), to: &output)
    output.append(contentsOf: string)
  }

  private func append(_ value: Value, to output: inout [UInt8]) {
    func type(_ type: GGUFValueType) { append(type.rawValue, to: &output) }
    func array(_ element: GGUFValueType, count: Int) {
      type(.array)
      type(element)
      append(UInt64(count), to: &output)
    }
    switch value {
    case .uint8(let number):
      type(.uint8)
      append(number, to: &output)
    case .uint32(let number):
      type(.uint32)
      append(number, to: &output)
    case .int32(let number):
      type(.int32)
      append(number, to: &output)
    case .uint64(let number):
      type(.uint64)
      append(number, to: &output)
    case .float32(let number):
      type(.float32)
      append(number.bitPattern, to: &output)
    case .float64(let number):
      type(.float64)
      append(number.bitPattern, to: &output)
    case .bool(let flag):
      type(.bool)
      append(UInt8(flag ? 1 : 0), to: &output)
    case .string(let string):
      type(.string)
      append(Array(string.utf8), to: &output)
    case .strings(let strings):
      array(.string, count: strings.count)
      for string in strings { append(Array(string.utf8), to: &output) }
    case .byteStrings(let strings):
      array(.string, count: strings.count)
      for string in strings { append(string, to: &output) }
    case .floats(let numbers):
      array(.float32, count: numbers.count)
      for number in numbers { append(number.bitPattern, to: &output) }
    case .int32s(let numbers):
      array(.int32, count: numbers.count)
      for number in numbers { append(number, to: &output) }
    case .uint64s(let numbers):
      array(.uint64, count: numbers.count)
      for number in numbers { append(number, to: &output) }
    }
  }
}
