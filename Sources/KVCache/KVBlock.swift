import ServingTypes

/// What the pool knows of one block.
public struct KVBlock {
  public enum State: Hashable, Sendable {
    /// Holds nothing that anybody could ask for.
    case free
    /// Referenced by block tables, or pinned by transfers.
    case active
    /// In the prefix cache, and nobody uses it now.
    case cached
  }

  /// Block tables that contain the block.
  public internal(set) var referenceCount: Int32 = 0
  /// Transfers that read or write its bytes.
  public internal(set) var pinCount: Int32 = 0
  /// Of the bytes, taken when the block was sealed.
  public internal(set) var checksum: UInt32 = 0
  /// Set while the block is in the prefix cache.
  public internal(set) var identity: BlockIdentity?
  /// A tier copies its bytes: it may be used, and keeps its place in the queue, but is not handed out.
  public internal(set) var isCopying = false
  /// Nobody uses it and no tier has it: it is to be copied down.
  var isUnstored = false
  /// It stands in the queue of blocks to copy down.
  var isListed = false

  public var state: State {
    if referenceCount > 0 || pinCount > 0 { return .active }
    return identity == nil ? .free : .cached
  }
}
