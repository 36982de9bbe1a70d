import ServingTypes

/// How many of the vocabulary's first tokens a draft model chooses from: as many as recent text was made of.
///
/// With a large vocabulary the output projection is much of a small model's pass. Byte-pair merges are numbered from the most
/// frequent on, so that most texts keep to the first part. A token behind it costs a draft, nothing else.
/// - SeeAlso: Zhao et al., FR-Spec: Accelerating Large-Vocabulary Language Models via Frequency-Ranked Speculative Sampling
///   (2025), which ranks tokens in a corpus beforehand.
struct DraftVocabulary {
  /// No part is smaller: what is left of the projection hardly counts.
  private static let smallestPart = 16_384
  /// The share of tokens that may lie behind the part.
  private static let toleratedShare = 1.0 / 32
  private static let decay = 1 - 1.0 / 256
  /// Tokens seen before a part is trusted.
  private static let fewestTokens = 32.0

  /// Each half of the one before.
  private let parts: [Int]
  /// Of the tokens seen, old ones counting less: how many, and how many lay behind each part.
  private var seen = 0.0
  private var beyond: [Double]

  init(size: Int) {
    parts = sequence(first: size / 2) { $0 / 2 }.prefix { $0 >= Self.smallestPart }.map { $0 }
    beyond = parts.map { _ in 0 }
  }

  /// Takes in a token of a text, prompts excluded: they hold marks that no answer does.
  mutating func record(_ token: TokenID) {
    seen = seen * Self.decay + 1
    for (index, part) in parts.enumerated() {
      beyond[index] = beyond[index] * Self.decay + (Int(token) >= part ? 1 : 0)
    }
  }

  /// Tokens of the smallest part that is large enough; nil: all are needed.
  var part: Int? {
    guard seen >= Self.fewestTokens else { return nil }
    return parts.indices.last { beyond[$0] <= seen * Self.toleratedShare }.map { parts[$0] }
  }
}
