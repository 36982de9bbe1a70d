import ServingTypes

/// What travels with a block's payload: the `BlockFrame` message of prefill.proto without its payload.
public struct BlockFrame: Hashable, Sendable {
  /// In the sequence, from 0.
  public var index: Int
  /// Nil for the tail, the block that is not full.
  public var hash: BlockHash?
  public var parentHash: BlockHash
  public var tokenCount: Int
  /// CRC-32C of the payload.
  public var checksum: UInt32
  /// Index in `KVLayout.groups`.
  public var group: Int
  public var firstLayer: Int
  /// 0 means all layers of the group.
  public var layerCount: Int
  /// The tail's tokens; empty for a full block.
  public var tokens: [TokenID]

  public init(
    index: Int, hash: BlockHash?, parentHash: BlockHash, tokenCount: Int, checksum: UInt32, group: Int = 0,
    firstLayer: Int = 0, layerCount: Int = 0, tokens: [TokenID] = []
  ) {
    self.index = index
    self.hash = hash
    self.parentHash = parentHash
    self.tokenCount = tokenCount
    self.checksum = checksum
    self.group = group
    self.firstLayer = firstLayer
    self.layerCount = layerCount
    self.tokens = tokens
  }

  /// The fields' numbers in prefill.proto.
  enum FieldNumber {
    static let index = 1
    static let hash = 2
    static let parentHash = 3
    static let tokenCount = 4
    static let checksum = 5
    static let group = 6
    static let firstLayer = 7
    static let layerCount = 8
    static let tokens = 9
    static let payload = 15
    /// `block` in PrefillResponse and FetchResponse alike.
    static let block = 3
    /// The other messages of the two oneofs: queued, start, end.
    static let otherMessages = [1, 2, 4]
  }
}
