/// Writes the few protobuf fields that stand around a block's payload.
struct WireWriter {
  private(set) var bytes: [UInt8] = []

  mutating func varint(_ value: UInt64) {
    var rest = value
    while rest >= 0x80 {
      bytes.append(UInt8(truncatingIfNeeded: rest) | 0x80)
      rest >>= 7
    }
    bytes.append(UInt8(truncatingIfNeeded: rest))
  }

  /// A field of the type uint32; 0 is left out, as proto3 does.
  mutating func uint32(_ number: Int, _ value: UInt32) {
    guard value != 0 else { return }
    key(number, .varint)
    varint(UInt64(value))
  }

  mutating func fixed32(_ number: Int, _ value: UInt32) {
    guard value != 0 else { return }
    key(number, .fixed32)
    withUnsafeBytes(of: value.littleEndian) { bytes.append(contentsOf: $0) }
  }

  mutating func bytes(_ number: Int, _ value: [UInt8]) {
    lengthDelimited(number, count: value.count)
    bytes.append(contentsOf: value)
  }

  /// The key and the length of a field whose `count` bytes follow.
  mutating func lengthDelimited(_ number: Int, count: Int) {
    key(number, .lengthDelimited)
    varint(UInt64(count))
  }

  mutating func append(_ other: WireWriter) { bytes.append(contentsOf: other.bytes) }

  private mutating func key(_ number: Int, _ type: WireReader.WireType) {
    varint(UInt64(number) << 3 | type.rawValue)
  }
}
