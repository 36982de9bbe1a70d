import ServingTypes

/// What a sequence has said so far, as penalties and the least length need it.
public struct TokenCounts: Sendable {
  /// How often a token stands where.
  struct Entry: Sendable {
    var isInPrompt = false
    var outputCount = 0
  }

  /// Tokens generated so far.
  public private(set) var outputCount = 0
  /// Empty unless a penalty asks for it.
  private(set) var entries: [TokenID: Entry] = [:]
  private let tracksTokens: Bool

  /// - Parameter output: what the sequence had generated before it came here.
  public init(
    prompt: some Sequence<TokenID>, output: some Sequence<TokenID> = EmptyCollection(), parameters: SamplingParameters
  ) {
    tracksTokens =
      parameters.repetitionPenalty != 1 || parameters.frequencyPenalty != 0 || parameters.presencePenalty != 0
    if tracksTokens {
      for token in prompt { entries[token, default: Entry()].isInPrompt = true }
    }
    for token in output { append(token) }
  }

  /// Counts a token that the sequence has generated.
  public mutating func append(_ token: TokenID) {
    outputCount += 1
    if tracksTokens { entries[token, default: Entry()].outputCount += 1 }
  }
}
