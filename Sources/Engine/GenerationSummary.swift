import ServingTypes

/// What a generation took.
public struct GenerationSummary: Hashable, Sendable {
  public var promptTokens: Int
  /// Prompt tokens whose blocks lay in this engine's prefix cache.
  public var cachedTokens: Int
  /// Blocks after these that were fetched from other workers, and how long the request waited for them.
  public var fetchedBlocks: Int
  public var fetchSeconds: Double
  /// Tokens that this engine computed before the first new one: prompt tokens, and what a moved request had generated.
  public var computedTokens: Int
  /// New tokens of all samples; those that the request brought along do not count.
  public var generatedTokens: Int
  public var draftedTokens: Int
  public var acceptedTokens: Int
  /// From the request's arrival to its admission.
  public var queueSeconds: Double
  /// From the admission to the first token.
  public var prefillSeconds: Double
  /// From the request's arrival to the first token.
  public var firstTokenSeconds: Double
  /// From the first token to the last.
  public var decodeSeconds: Double

  public init(
    promptTokens: Int = 0, cachedTokens: Int = 0, fetchedBlocks: Int = 0, fetchSeconds: Double = 0,
    computedTokens: Int = 0, generatedTokens: Int = 0, draftedTokens: Int = 0, acceptedTokens: Int = 0,
    queueSeconds: Double = 0, prefillSeconds: Double = 0,
    firstTokenSeconds: Double = 0, decodeSeconds: Double = 0
  ) {
    self.promptTokens = promptTokens
    self.cachedTokens = cachedTokens
    self.fetchedBlocks = fetchedBlocks
    self.fetchSeconds = fetchSeconds
    self.computedTokens = computedTokens
    self.generatedTokens = generatedTokens
    self.draftedTokens = draftedTokens
    self.acceptedTokens = acceptedTokens
    self.queueSeconds = queueSeconds
    self.prefillSeconds = prefillSeconds
    self.firstTokenSeconds = firstTokenSeconds
    self.decodeSeconds = decodeSeconds
  }
}
