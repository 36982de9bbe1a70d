import ServingTypes

/// Blocks of a waiting sequence that are to be fetched from other workers.
public struct FetchOrder {
  public let id: UInt64
  public let sequence: Sequence
  /// The place of the first one in the sequence.
  public let start: Int
  /// The blocks to fill, in order.
  public let blocks: [BlockID]
  public let claim: FillClaim
  /// From then on computing goes first.
  public let deadline: ContinuousClock.Instant
}

/// How far the blocks that a waiting sequence fetches have come.
struct FetchProgress {
  var id: UInt64
  var start: Int
  var deadline: ContinuousClock.Instant
  /// Of the blocks that came, in order from `start` on.
  var checksums: [UInt32] = []
  /// Those of them that are part of the sequence's prefix.
  var sealed = 0
  /// Nothing more comes, and nobody touches the blocks.
  var isOver = false

  /// Of the block at a place in the sequence; nil while it is not here.
  func checksum(at index: Int) -> UInt32? {
    checksums.indices.contains(index - start) ? checksums[index - start] : nil
  }
}

/// A fetch as the scheduler's books have it: until nobody touches its blocks any more.
struct Fetch {
  var sequence: Sequence
  var start: Int
  var blocks: [BlockID]
  /// Leading blocks that came; the others are pinned.
  var taken = 0
  var claim = FillClaim()
  var began: ContinuousClock.Instant
  var deadline: ContinuousClock.Instant
  var estimate: Double
  var isCalledOff = false
  /// Every block came; only the end is missing.
  var isComplete = false
}
