import ServingTypes

/// The blocks that hold a sequence's tokens, in order.
public struct BlockTable {
  public internal(set) var blocks: [BlockID] = []

  public init() {}

  public var count: Int { blocks.count }

  public var isEmpty: Bool { blocks.isEmpty }

  public subscript(index: Int) -> BlockID { blocks[index] }

  /// Blocks that so many tokens take.
  public static func blockCount(tokens: Int, blockSize: Int) -> Int { (tokens + blockSize - 1) / blockSize }
}

/// A block's contents to be copied before the next forward pass.
public struct BlockCopy: Hashable, Sendable {
  public var source: BlockID
  public var destination: BlockID

  public init(source: BlockID, destination: BlockID) {
    self.source = source
    self.destination = destination
  }
}
