/// Finds byte strings by their contents: an open-addressing hash table of indices into the strings themselves.
struct ByteStringIndex: Sendable {
  /// The longest string in the index.
  private(set) var longest = 0
  /// Index + 1 of a string; 0 is free. A power of two, at most half full.
  private var slots: [UInt32]
  private let strings: ByteStrings

  /// Indexes the strings that `includes` accepts; of equal ones the last.
  init(_ strings: ByteStrings, where includes: (Int) -> Bool) {
    var capacity = 16
    while capacity < strings.count * 2 { capacity *= 2 }
    slots = [UInt32](repeating: 0, count: capacity)
    self.strings = strings
    strings.storage.withUnsafeBufferPointer { bytes in
      for index in 0..<strings.count where includes(index) {
        let string = UnsafeBufferPointer(rebasing: bytes[strings.range(index)])
        slots[slot(of: string)] = UInt32(index + 1)
        longest = max(longest, string.count)
      }
    }
  }

  /// The index of the string with these bytes.
  func find(_ bytes: UnsafeBufferPointer<UInt8>) -> Int? {
    guard bytes.count <= longest else { return nil }
    let entry = slots[slot(of: bytes)]
    return entry == 0 ? nil : Int(entry) - 1
  }

  /// Where the string is, or would be put.
  private func slot(of bytes: UnsafeBufferPointer<UInt8>) -> Int {
    var hash: UInt64 = 0xCBF2_9CE4_8422_2325
    for byte in bytes { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01B3 }
    hash ^= hash >> 32
    let mask = slots.count - 1
    var slot = Int(truncatingIfNeeded: hash) & mask
    return strings.storage.withUnsafeBufferPointer { storage in
      while slots[slot] != 0 {
        let candidate = UnsafeBufferPointer(rebasing: storage[strings.range(Int(slots[slot]) - 1)])
        if candidate.count == bytes.count, candidate.elementsEqual(bytes) { break }
        slot = (slot + 1) & mask
      }
      return slot
    }
  }
}
