import ServingTypes

/// What lies beside a block's bytes in a tier and must be found there again.
public struct BlockStamp: Hashable, Sendable {
  /// As it is stored, padded.
  public static let byteCount = 64
  private static let magic: UInt64 = 0x4241_544F_4E4B_5631

  /// The layout's digest.
  public var layout: BlockHash
  public var hash: BlockHash
  public var checksum: UInt32

  public init(layout: BlockHash, hash: BlockHash, checksum: UInt32) {
    self.layout = layout
    self.hash = hash
    self.checksum = checksum
  }

  /// - Parameter bytes: `byteCount` of them.
  public func store(in bytes: UnsafeMutableRawBufferPointer) {
    bytes.initializeMemory(as: UInt8.self, repeating: 0)
    for (index, word) in [Self.magic, layout.high, layout.low, hash.high, hash.low, UInt64(checksum)].enumerated() {
      bytes.storeBytes(of: word.littleEndian, toByteOffset: index * 8, as: UInt64.self)
    }
  }

  /// Nil where no stamp lies.
  ///
  /// - Parameter bytes: `byteCount` of them.
  public init?(_ bytes: UnsafeRawBufferPointer) {
    func word(_ index: Int) -> UInt64 {
      UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: index * 8, as: UInt64.self))
    }
    guard bytes.count >= Self.byteCount, word(0) == Self.magic, let checksum = UInt32(exactly: word(5)) else {
      return nil
    }
    self.init(
      layout: BlockHash(high: word(1), low: word(2)), hash: BlockHash(high: word(3), low: word(4)), checksum: checksum)
  }
}

extension KVLayout {
  /// The digest as it stands in stamps.
  public var stamp: BlockHash {
    let digits = digest
    return BlockHash(
      high: UInt64(digits.prefix(16), radix: 16) ?? 0, low: UInt64(digits.dropFirst(16).prefix(16), radix: 16) ?? 0)
  }
}
