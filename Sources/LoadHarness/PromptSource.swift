import ServingTypes

/// Where a prompt's tokens come from.
public enum PromptSource: Sendable {
  /// Spread evenly over the vocabulary.
  case random(vocabularySize: Int)
  /// Pieces of a text, each from a place of its own; the text goes on from its beginning.
  case text([TokenID])

  /// The same tokens for the same seed.
  public func tokens(_ count: Int, seed: UInt64) -> [TokenID] {
    var random = SplitMix64(seed: seed)
    switch self {
    case .random(let size): return (0..<count).map { _ in TokenID(random.next() % UInt64(size)) }
    case .text(let text):
      guard !text.isEmpty else { return [] }
      let start = Int(random.next() % UInt64(text.count))
      return (0..<count).map { text[(start + $0) % text.count] }
    }
  }
}
