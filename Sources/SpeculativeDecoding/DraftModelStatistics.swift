/// What a draft model did, since the start, and what it holds now.
public struct DraftModelStatistics: Hashable, Sendable {
  public var blockCount = 0
  /// Blocks that sequences hold.
  public var activeBlocks = 0
  /// Forward passes, the tokens of all, and the seconds of all with the drawing of drafts.
  public var forwards: UInt64 = 0
  public var tokens: UInt64 = 0
  public var seconds = 0.0
  /// Tokens that the last pass chose among: all of the vocabulary, or a prefix of it.
  public var vocabulary = 0
  /// Prompt tokens found in its own prefix cache.
  public var cachedTokens: UInt64 = 0
  /// Sequences that got no drafts in a step because no blocks were left.
  public var shortages: UInt64 = 0
  /// Passes that failed; their sequences got no drafts.
  public var failures: UInt64 = 0

  public init() {}
}
