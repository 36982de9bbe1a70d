import ServingTypes

/// A copy of one block between the pool and a tier, or from one tier to the next, on behalf of the books.
public struct TierTransfer: Hashable, Sendable {
  public var identity: BlockIdentity
  public var checksum: UInt32
  /// Where it comes from, with its slot; for `.device` the block's id.
  public var source: CacheTier
  public var sourceSlot: Int32
  public var destination: CacheTier
  public var destinationSlot: Int32
}
