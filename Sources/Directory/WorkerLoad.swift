/// A worker's load as it last reported it.
public struct WorkerLoad: Hashable, Sendable {
  /// Tokens of admitted prompts that are still to be computed.
  public var pendingPrefillTokens: Int
  public var runningSequences: Int
  public var waitingSequences: Int
  /// Blocks referenced by running sequences.
  public var activeBlocks: Int

  public init(
    pendingPrefillTokens: Int = 0, runningSequences: Int = 0, waitingSequences: Int = 0, activeBlocks: Int = 0
  ) {
    self.pendingPrefillTokens = pendingPrefillTokens
    self.runningSequences = runningSequences
    self.waitingSequences = waitingSequences
    self.activeBlocks = activeBlocks
  }
}
