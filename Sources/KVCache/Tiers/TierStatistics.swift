import ServingTypes

/// What the tiers hold and have done since the start.
public struct TierStatistics: Hashable, Sendable {
  /// Gauges: blocks of each tier below the pool, and of how many at most.
  public var hostBlocks = 0
  public var hostCapacity = 0
  public var fileBlocks = 0
  public var fileCapacity = 0
  /// Sequences that wait for blocks of theirs.
  public var loadingSequences = 0

  /// Counters: blocks of admitted prefixes by where they lay.
  public var deviceHits: UInt64 = 0
  public var hostHits: UInt64 = 0
  public var fileHits: UInt64 = 0
  /// Blocks that were copied down.
  public var hostStores: UInt64 = 0
  public var fileStores: UInt64 = 0
  /// Of `hostStores` those that were copied when they were evicted, by the engine's own thread.
  public var evictionStores: UInt64 = 0
  /// Blocks that left the last tier that had them.
  public var drops: UInt64 = 0
  public var prefetchesStarted: UInt64 = 0
  public var prefetchesUsed: UInt64 = 0
  public var prefetchesWasted: UInt64 = 0
  /// Admissions that computed on although a tier had the next block, because that was estimated to be faster.
  public var bypassedPrefixes: UInt64 = 0
  /// By `TierFailure.allCases`.
  public private(set) var failures = [UInt64](repeating: 0, count: TierFailure.allCases.count)

  public init() {}

  public mutating func count(_ failure: TierFailure) {
    if let index = TierFailure.allCases.firstIndex(of: failure) { failures[index] += 1 }
  }

  public func failures(_ failure: TierFailure) -> UInt64 {
    TierFailure.allCases.firstIndex(of: failure).map { failures[$0] } ?? 0
  }
}
