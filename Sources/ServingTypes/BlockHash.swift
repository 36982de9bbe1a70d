import COpenSSL

/// Names a full block's tokens together with everything before them: the first 128 bits of a chained SHA-256.
///
/// hash(i) = SHA-256(hash(i − 1), tokens of block i as 32-bit little-endian integers), the root covers the tenant's salt and
/// the block size. Workers recompute it and never trust a caller's.
/// - SeeAlso: vLLM's automatic prefix caching, for the chain.
public struct BlockHash: Hashable, Sendable, Comparable, CustomStringConvertible {
  public static let byteCount = 16

  /// The first and second 8 bytes of the digest, big-endian.
  public let high: UInt64
  public let low: UInt64

  public init(high: UInt64, low: UInt64) {
    self.high = high
    self.low = low
  }

  /// The parent of a chain's first block.
  public static func root(salt: String, blockSize: Int) -> BlockHash {
    var bytes = Array("baton.block.v1".utf8)
    withUnsafeBytes(of: UInt32(truncatingIfNeeded: blockSize).littleEndian) { bytes.append(contentsOf: $0) }
    bytes.append(contentsOf: salt.utf8)
    return bytes.withUnsafeBytes { digest($0) }
  }

  /// The hash of the block that holds `tokens` after the chain that ends in this hash.
  public func child(tokens: some Collection<TokenID>) -> BlockHash {
    let byteCount = Self.byteCount + tokens.count * MemoryLayout<TokenID>.size
    return withUnsafeTemporaryAllocation(byteCount: byteCount, alignment: 8) { buffer in
      buffer.storeBytes(of: high.bigEndian, toByteOffset: 0, as: UInt64.self)
      buffer.storeBytes(of: low.bigEndian, toByteOffset: 8, as: UInt64.self)
      var offset = Self.byteCount
      for token in tokens {
        buffer.storeBytes(of: token.littleEndian, toByteOffset: offset, as: TokenID.self)
        offset += MemoryLayout<TokenID>.size
      }
      return Self.digest(UnsafeRawBufferPointer(buffer))
    }
  }

  /// The hashes of the full blocks of `tokens`, first to last; the unfinished last block has none.
  public static func chain(tokens: [TokenID], blockSize: Int, salt: String) -> [BlockHash] {
    precondition(blockSize > 0, "block size must be positive")
    var parent = root(salt: salt, blockSize: blockSize)
    var hashes: [BlockHash] = []
    hashes.reserveCapacity(tokens.count / blockSize)
    for start in stride(from: 0, to: tokens.count - tokens.count % blockSize, by: blockSize) {
      parent = parent.child(tokens: tokens[start..<start + blockSize])
      hashes.append(parent)
    }
    return hashes
  }

  /// The hash's 16 bytes, as they travel.
  public var bytes: [UInt8] {
    var result: [UInt8] = []
    result.reserveCapacity(Self.byteCount)
    withUnsafeBytes(of: high.bigEndian) { result.append(contentsOf: $0) }
    withUnsafeBytes(of: low.bigEndian) { result.append(contentsOf: $0) }
    return result
  }

  /// Nil unless there are exactly 16 bytes.
  public init?(bytes: some Collection<UInt8>) {
    guard bytes.count == Self.byteCount else { return nil }
    var halves: (UInt64, UInt64) = (0, 0)
    for (index, byte) in bytes.enumerated() {
      if index < 8 { halves.0 = halves.0 << 8 | UInt64(byte) } else { halves.1 = halves.1 << 8 | UInt64(byte) }
    }
    self.init(high: halves.0, low: halves.1)
  }

  public var description: String { hexadecimal(high) + hexadecimal(low) }

  public static func < (left: BlockHash, right: BlockHash) -> Bool {
    (left.high, left.low) < (right.high, right.low)
  }

  static func digest(_ bytes: UnsafeRawBufferPointer) -> BlockHash {
    withUnsafeTemporaryAllocation(byteCount: Int(SHA256_DIGEST_LENGTH), alignment: 8) { output in
      _ = SHA256(
        bytes.baseAddress?.assumingMemoryBound(to: UInt8.self), bytes.count,
        output.baseAddress?.assumingMemoryBound(to: UInt8.self))
      return BlockHash(
        high: UInt64(bigEndian: output.load(as: UInt64.self)),
        low: UInt64(bigEndian: output.load(fromByteOffset: 8, as: UInt64.self)))
    }
  }
}
