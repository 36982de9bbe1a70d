/// What a trace is made from; the same recipe gives the same trace on every machine.
public struct TraceRecipe: Codable, Hashable, Sendable {
  public var seed: UInt64
  /// Requests, or conversations where these have several turns.
  public var count: Int
  public var prompt: LengthDistribution
  public var output: LengthDistribution
  /// Tokens of a conversation at most, prompts and outputs together; what would be more is cut off its prompts, then outputs.
  public var longestContext: Int
  /// Mean of a Poisson process; nil lets everything arrive at once.
  public var requestsPerSecond: Double?
  /// Prefixes that requests choose from at random; 0: none share anything.
  public var prefixCount: Int
  public var prefixLength: Int
  /// Share of the requests that begin with one.
  public var prefixShare: Double
  /// Turns of a conversation.
  public var turns: Int
  /// Who the requests come from: half of them from the first tenant, the rest from the others by chance. 1: nobody is told apart.
  public var tenants: Int

  public init(
    seed: UInt64, count: Int, prompt: LengthDistribution, output: LengthDistribution, longestContext: Int,
    requestsPerSecond: Double? = nil, prefixCount: Int = 0, prefixLength: Int = 0, prefixShare: Double = 1,
    turns: Int = 1, tenants: Int = 1
  ) {
    self.seed = seed
    self.count = count
    self.prompt = prompt
    self.output = output
    self.longestContext = longestContext
    self.requestsPerSecond = requestsPerSecond
    self.prefixCount = prefixCount
    self.prefixLength = prefixLength
    self.prefixShare = prefixShare
    self.turns = turns
    self.tenants = tenants
  }

  /// People who chat with a model: the means of ShareGPT's conversations against a context of 2,048 tokens (161 in and 338
  /// out, Kwon et al., PagedAttention, 2023), held to the context's length, with log-normal tails. Half of them begin
  /// with one of four system prompts of a sixteenth of the context.
  public static func chat(seed: UInt64, count: Int, contextLength: Int) -> TraceRecipe {
    let context = Double(contextLength)
    // These medians give those means, the longest cut off.
    return TraceRecipe(
      seed: seed, count: count,
      prompt: LengthDistribution(median: 0.045 * context, spread: 1.1, least: 4, most: contextLength / 2),
      output: LengthDistribution(median: 0.121 * context, spread: 0.9, least: 4, most: contextLength / 2),
      longestContext: contextLength, prefixCount: 4, prefixLength: contextLength / 16, prefixShare: 0.5)
  }
}
