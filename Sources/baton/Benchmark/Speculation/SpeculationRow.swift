import Engine
import ServingTypes

/// What `baton bench speculation` runs with each method.
enum SpeculationRow: String, CaseIterable, Encodable {
  /// A program that is to be written: much of it is as one would expect.
  case code
  /// A program that is to be repeated with changes.
  case edit
  /// Random tokens go in, and unlikely ones come out: what comes next is not to be guessed.
  case unpredictable
  /// A long prompt, and an answer that ends soon, of which nobody knows before.
  case short

  /// What the time without drafts ÷ the time with them has to be; nil where it is only told.
  func bar(_ method: SpeculationMethod) -> Double? {
    switch (self, method) {
    case (.code, .draft): 1.15
    case (.edit, .ngram): 1.5
    case (.code, _), (.edit, _): nil
    case (.unpredictable, _), (.short, _): 0.97
    }
  }
}
