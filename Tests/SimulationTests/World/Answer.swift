import Routing
import ServingTypes

/// What one client got, or shall get.
struct Answer: Hashable, Sendable {
  var tokens: [[TokenID]]
  var texts: [String]
  var finishes: [FinishReason?]

  init(samples: Int) {
    tokens = Array(repeating: [], count: samples)
    texts = Array(repeating: "", count: samples)
    finishes = Array(repeating: nil, count: samples)
  }

  mutating func take(_ update: GenerationUpdate) {
    for output in update.outputs {
      tokens[output.sample] += output.tokens.map(\.id)
      texts[output.sample] += output.text
      if let finish = output.finish { finishes[output.sample] = finish }
    }
  }

  /// Whether it is how `other` begins.
  func begins(_ other: Answer) -> Bool {
    zip(tokens, other.tokens).allSatisfy { $1.starts(with: $0) }
      && zip(texts, other.texts).allSatisfy { $1.utf8.starts(with: $0.utf8) }
  }
}
