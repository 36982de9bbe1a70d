import ServingTypes

/// A place for a block that comes from another worker. The memory may be written to while the slot, or a copy, lives.
public struct BlockSlot: Sendable {
  /// In the sequence.
  public let index: Int
  /// What the block must prove to be; nil for the tail of an unfinished block.
  public let hash: BlockHash?
  public let parentHash: BlockHash
  public let tokenCount: Int
  /// The tail's tokens; empty for a full block.
  public let tokens: [TokenID]
  let pin: BlockPin

  /// The whole block.
  public var memory: UnsafeMutableRawBufferPointer { pin.memory.bytes(of: pin.block) }

  /// The memory will not be written to any more; otherwise that is said by the last copy's end.
  public func release() { pin.release() }
}
