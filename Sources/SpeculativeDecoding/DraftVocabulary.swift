import ServingTypes

/// How many of the vocabulary's first tokens a draft model chooses among: as many as recent text was made of.
///
/// With a large vocabulary the output projection is much of a small model's pass. Byte-pair merges are numbered from the most
/// frequent on, so that most texts keep to a prefix; where a vocabulary has frequent tokens at its end, as SentencePiece's have
/// single characters, all of it stays in use. A token behind the prefix costs a draft, nothing else.
/// - SeeAlso: Zhao et al., FR-Spec: Accelerating Large-Vocabulary Language Models via Frequency-Ranked Speculative Sampling
///   (2025), which ranks tokens in a corpus beforehand.
package struct DraftVocabulary {
  /// No prefix is shorter: what is left of the projection hardly counts.
  private static let shortest = 16_384
  /// The share of tokens that may lie behind the prefix.
  private static let toleratedShare = 1.0 / 32
  private static let decay = 1 - 1.0 / 256
  /// Tokens, about, that are seen before a prefix is trusted.
  private static let fewestTokens = 32.0

  /// Each half of the one before.
  private let prefixes: [Int]
  /// Of the tokens seen, old ones counting less: how many, and how many lay behind each prefix.
  private var seen = 0.0
  private var beyond: [Double]

  package init(size: Int) {
    prefixes = sequence(first: size / 2) { $0 / 2 }.prefix { $0 >= Self.shortest }
    beyond = prefixes.map { _ in 0 }
  }

  /// Takes in a token of a text.
  package mutating func record(_ token: TokenID) {
    seen = seen * Self.decay + 1
    for (index, prefix) in prefixes.enumerated() {
      beyond[index] = beyond[index] * Self.decay + (Int(token) >= prefix ? 1 : 0)
    }
  }

  /// Tokens of the shortest prefix that is long enough; nil: all are needed.
  package var prefix: Int? {
    guard seen >= Self.fewestTokens else { return nil }
    return prefixes.indices.last { beyond[$0] <= seen * Self.toleratedShare }.map { prefixes[$0] }
  }
}
