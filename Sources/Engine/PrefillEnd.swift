/// The result of a prefill for another worker.
public struct PrefillEnd: Hashable, Sendable {
  /// One for each sample that had generated nothing beyond `EngineRequest.prefix`.
  public var firstTokens: [FirstToken]
  public var computedTokens: Int
  public var cachedTokens: Int
  /// Blocks that came from other workers, and how long the request waited for them.
  public var fetchedBlocks: Int
  public var fetchSeconds: Double
  public var queueSeconds: Double
  public var prefillSeconds: Double

  public init(
    firstTokens: [FirstToken], computedTokens: Int = 0, cachedTokens: Int = 0, fetchedBlocks: Int = 0,
    fetchSeconds: Double = 0, queueSeconds: Double = 0, prefillSeconds: Double = 0
  ) {
    self.firstTokens = firstTokens
    self.computedTokens = computedTokens
    self.cachedTokens = cachedTokens
    self.fetchedBlocks = fetchedBlocks
    self.fetchSeconds = fetchSeconds
    self.queueSeconds = queueSeconds
    self.prefillSeconds = prefillSeconds
  }
}
