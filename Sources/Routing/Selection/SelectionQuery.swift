import ServingTypes

/// What a request needs of its workers.
public struct SelectionQuery: Sendable {
  public var model: String
  /// Tokens whose keys and values the decode worker needs before it can go on.
  public var tokens: Int
  /// Set once tokens were delivered: other layouts may give other tokens.
  public var requiredLayout: String?
  /// Lives of workers that failed or refused this request.
  public var excluded: Set<WorkerReference>
  /// The decode worker has to compute the whole prompt itself, whatever is cached.
  public var computesWholePrompt: Bool
  /// Breaks ties: equal prompts meet on one worker, different ones spread.
  public var affinity: UInt64
  /// Counts requests, for the policies that take turns.
  public var turn: UInt64

  public init(
    model: String, tokens: Int, requiredLayout: String? = nil, excluded: Set<WorkerReference> = [],
    computesWholePrompt: Bool = false,
    affinity: UInt64 = 0, turn: UInt64 = 0
  ) {
    self.model = model
    self.tokens = tokens
    self.requiredLayout = requiredLayout
    self.excluded = excluded
    self.computesWholePrompt = computesWholePrompt
    self.affinity = affinity
    self.turn = turn
  }
}
