import ServingTypes

/// Proposes what most often followed the longest match of the sequence's end, in the sequence itself or in recent outputs.
///
/// How far it goes depends on how sure it is: a continuation is dropped where it has become unlikely.
/// - SeeAlso: Oliaro et al., SuffixDecoding: Extreme Speculative Decoding for Emerging AI Applications (2024).
public struct SuffixProposer: DraftProposer, Sendable {
  /// Tokens of the sequence that are remembered at most; half of them are forgotten then.
  public static let tokenLimit = 16_384
  private static let usualLeastChance = 0.1

  private var tokens: [TokenID] = []
  private var text = SuffixAutomaton()

  public init() {}

  public mutating func append(contentsOf newTokens: some Sequence<TokenID>) {
    for token in newTokens {
      if tokens.count >= Self.tokenLimit {
        tokens.removeFirst(Self.tokenLimit / 2)
        text = SuffixAutomaton()
        for token in tokens { text.append(token) }
      }
      tokens.append(token)
      text.append(token)
    }
  }

  public mutating func propose(_ limit: Int, into drafts: inout [TokenID]) {
    _ = text.propose(limit, leastChance: Self.usualLeastChance, after: text.repeatedSuffix, into: &drafts)
  }

  /// As `propose(_:into:)`, in `history` as well; the guess that promises more wins.
  ///
  /// - Parameter leastChance: of being accepted with all before it, for each draft.
  public func propose(
    _ limit: Int, leastChance: Double, history: borrowing SuffixHistory, salt: String, into drafts: inout [TokenID]
  ) {
    let first = drafts.count
    let own = text.propose(limit, leastChance: leastChance, after: text.repeatedSuffix, into: &drafts)
    let middle = drafts.count
    let shared = history.propose(limit, leastChance: leastChance, after: tokens[...], salt: salt, into: &drafts)
    drafts.removeSubrange(shared > own ? first..<middle : middle..<drafts.count)
  }
}
