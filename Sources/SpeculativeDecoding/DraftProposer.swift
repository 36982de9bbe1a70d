import ServingTypes

/// Guesses how one sequence goes on. The guesses are only ever a matter of speed: each is verified before it counts.
public protocol DraftProposer {
  /// Takes tokens that the sequence now certainly has, prompt and output alike, in order.
  mutating func append(contentsOf tokens: some Sequence<TokenID>)

  /// Appends up to `limit` guesses for the tokens that come next to `drafts`; often none.
  mutating func propose(_ limit: Int, into drafts: inout [TokenID])
}
