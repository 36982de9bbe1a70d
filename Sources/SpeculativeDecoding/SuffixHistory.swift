import ServingTypes

/// What the engine has written lately, by salt: one tenant's outputs never show in another's drafts, nor in their speed.
///
/// Bounded: each salt has an automaton that grows and the one before it, and the salt used longest ago makes room for a new one.
public struct SuffixHistory: Sendable {
  private struct Texts {
    var current = SuffixAutomaton()
    var previous: SuffixAutomaton?
    var lastUse: UInt64 = 0

    mutating func append(_ token: TokenID, limit: Int) {
      if current.count >= limit {
        previous = current
        current = SuffixAutomaton()
      }
      current.append(token)
    }
  }

  /// Tokens that a match may have at most.
  public static let longestMatch = 16
  /// Of an output only the end is kept: taking it over must not hold up a step.
  private static let longestOutput = 1024

  private let tokenLimit: Int
  private let saltLimit: Int
  private var texts: [String: Texts] = [:]
  private var uses: UInt64 = 0

  /// - Parameters:
  ///   - tokenLimit: tokens of one automaton; each salt has two.
  ///   - saltLimit: salts that are remembered.
  public init(tokenLimit: Int = 8192, saltLimit: Int = 16) {
    self.tokenLimit = max(1, tokenLimit)
    self.saltLimit = max(1, saltLimit)
  }

  /// Tokens that are kept.
  public var tokenCount: Int { texts.values.reduce(0) { $0 + $1.current.count + ($1.previous?.count ?? 0) } }

  /// Takes over an output, from the last tokens of its prompt on.
  public mutating func record(_ tokens: ArraySlice<TokenID>, salt: String) {
    guard tokens.count > 1 else { return }
    uses += 1
    if texts[salt] == nil, texts.count >= saltLimit, let oldest = texts.min(by: { $0.value.lastUse < $1.value.lastUse })
    {
      texts[oldest.key] = nil
    }
    texts[salt, default: Texts()].lastUse = uses
    for token in tokens.suffix(Self.longestOutput) {
      texts[salt, default: Texts()].append(token, limit: tokenLimit)
    }
    // No text runs on into the next.
    texts[salt, default: Texts()].append(-1, limit: .max)
  }

  /// Appends what most often came after the end of `tokens`; returns the drafts that will be accepted on average.
  func propose(
    _ limit: Int, leastChance: Double, after tokens: ArraySlice<TokenID>, salt: String, into drafts: inout [TokenID]
  ) -> Double {
    guard let texts = texts[salt] else { return 0 }
    let end = tokens.suffix(Self.longestMatch)
    let first = drafts.count
    var expected = texts.current.propose(
      limit, leastChance: leastChance, after: texts.current.match(end), into: &drafts)
    if let previous = texts.previous {
      let middle = drafts.count
      let other = previous.propose(limit, leastChance: leastChance, after: previous.match(end), into: &drafts)
      if other > expected {
        drafts.removeSubrange(first..<middle)
        expected = other
      } else {
        drafts.removeSubrange(middle...)
      }
    }
    return expected
  }
}
