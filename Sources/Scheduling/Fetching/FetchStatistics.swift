/// What was asked of other workers since the start.
public struct FetchStatistics: Hashable, Sendable {
  public var started: UInt64 = 0
  /// Those of which every block came.
  public var completed: UInt64 = 0
  /// Blocks that came, were verified and became part of a prefix.
  public var blocks: UInt64 = 0
  /// What the fetches took, and what they had been estimated to take, summed up.
  public var seconds = 0.0
  public var estimatedSeconds = 0.0
  /// Prefixes held elsewhere that were computed, because that was estimated to be faster.
  public var bypasses: UInt64 = 0
  /// By `FetchFailure.allCases`.
  public private(set) var failures = [UInt64](repeating: 0, count: FetchFailure.allCases.count)

  public init() {}

  public mutating func count(_ failure: FetchFailure) {
    if let index = FetchFailure.allCases.firstIndex(of: failure) { failures[index] += 1 }
  }

  public func failures(_ failure: FetchFailure) -> UInt64 {
    FetchFailure.allCases.firstIndex(of: failure).map { failures[$0] } ?? 0
  }
}
