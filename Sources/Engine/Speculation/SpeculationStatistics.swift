import SpeculativeDecoding

/// What the drafts of an engine came to.
public struct SpeculationStatistics: Hashable, Sendable {
  public var method: SpeculationMethod
  /// Drafts wanted for each decoding sequence in the last step that had one, on average.
  public var draftLength = 0.0
  /// The chance that a draft is accepted, lately.
  public var recentAcceptance = 0.0
  /// What a step without drafts takes, and each token in it, as estimated now; 0 until measured.
  public var stepSeconds = 0.0
  public var secondsPerToken = 0.0
  /// Zeros unless the method is `draft`.
  public var draftModel = DraftModelStatistics()

  public init(method: SpeculationMethod = .ngram) { self.method = method }
}
