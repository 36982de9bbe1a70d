import ModelRuntime
import ServingTypes

/// One sequence's wish for drafts in the next step, and the answer.
public struct DraftAsk {
  /// The sequence's id.
  public var id: UInt64
  /// Prompt and generated tokens, all certain.
  public var tokens: [TokenID]
  /// Of the leading full blocks, as far as they are known, and the parent of the first.
  public var hashes: [BlockHash]
  public var root: BlockHash
  /// Drafts at most.
  public var limit: Int
  /// No draft is followed by another once the chance that all are accepted is below it.
  public var leastChance: Double
  public var parameters: SamplingParameters
  public var sample: Int
  /// Of `tokens`; the drafts are counted on top.
  public var counts: TokenCounts
  /// The answer; often shorter than `limit`.
  public var drafts: [TokenID] = []

  public init(
    id: UInt64, tokens: [TokenID], hashes: [BlockHash], root: BlockHash, limit: Int, leastChance: Double = 0,
    parameters: SamplingParameters, sample: Int, counts: TokenCounts
  ) {
    self.id = id
    self.tokens = tokens
    self.hashes = hashes
    self.root = root
    self.limit = limit
    self.leastChance = leastChance
    self.parameters = parameters
    // Nobody reads a draft's log-probabilities.
    self.parameters.logprobs = nil
    self.sample = sample
    self.counts = counts
  }

  /// Whether the sequence would end with this token, so that nothing needs to be guessed after it.
  func ends(with token: TokenID, _ endOfGenerationTokens: [TokenID]) -> Bool {
    !parameters.ignoreEOS && endOfGenerationTokens.contains(token) || parameters.stopTokenIDs.contains(token)
  }
}
