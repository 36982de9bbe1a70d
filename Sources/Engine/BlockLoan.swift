import ServingTypes

/// A block's bytes for another worker, pinned until released or gone. Any thread may read and release them.
public final class BlockLoan: Sendable {
  /// In its sequence, or for `lend` in the hashes that were asked for.
  public let index: Int
  /// Nil for the tail of an unfinished block.
  public let hash: BlockHash?
  public let parentHash: BlockHash
  public let tokenCount: Int
  /// The tail's tokens; empty for a full block.
  public let tokens: [TokenID]
  /// CRC-32C of `bytes`.
  public let checksum: UInt32
  private let pin: BlockPin

  init(
    index: Int, hash: BlockHash?, parentHash: BlockHash, tokenCount: Int, tokens: [TokenID] = [], checksum: UInt32,
    pin: BlockPin
  ) {
    self.index = index
    self.hash = hash
    self.parentHash = parentHash
    self.tokenCount = tokenCount
    self.tokens = tokens
    self.checksum = checksum
    self.pin = pin
  }

  /// The whole block, the part behind a tail's tokens included. Valid until `release()`, or while the loan lives.
  public var bytes: UnsafeRawBufferPointer { UnsafeRawBufferPointer(pin.memory.bytes(of: pin.block)) }

  /// Gives the block back; more calls change nothing.
  public func release() { pin.release() }
}
