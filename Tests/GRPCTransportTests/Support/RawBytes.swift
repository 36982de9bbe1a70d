import GRPCCore

struct RawSerializer: MessageSerializer {
  func serialize<Bytes: GRPCContiguousBytes>(_ message: [UInt8]) throws -> Bytes { Bytes(message) }
}

struct RawDeserializer: MessageDeserializer {
  func deserialize<Bytes: GRPCContiguousBytes>(_ bytes: Bytes) throws -> [UInt8] { bytes.withUnsafeBytes { Array($0) } }
}

extension [UInt8] {
  init(_ text: String) { self = Array(text.utf8) }

  /// Little-endian words.
  init(words: [UInt32]) { self = words.flatMap { word in (0..<4).map { UInt8(truncatingIfNeeded: word >> ($0 * 8)) } } }

  func word(_ index: Int) -> UInt32 {
    (0..<4).reduce(0) { $0 | UInt32(self[index * 4 + $1]) << (UInt32($1) * 8) }
  }

  /// Bytes that differ by place, so that a swapped or lost region shows.
  static func pattern(_ count: Int, seed: Int) -> [UInt8] {
    var state = UInt32(truncatingIfNeeded: seed &* 2_654_435_761 | 1)
    return (0..<count).map { _ in
      state = state &* 1_664_525 &+ 1_013_904_223
      return UInt8(truncatingIfNeeded: state >> 24)
    }
  }
}
