/// Where drafts come from (`spec_method`).
public enum SpeculationMethod: String, Hashable, Sendable, CaseIterable {
  /// What followed the last few tokens where they stood before in the same sequence.
  case ngram
  /// What most often followed the longest match in the sequence and in recent outputs of the engine.
  case suffix
  /// A smaller model of the same vocabulary.
  case draft
}
