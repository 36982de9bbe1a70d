/// What a sequence holds from its admission on.
public enum BlockReservation: Hashable, Sendable {
  /// The blocks of the tokens that it has.
  case asNeeded
  /// The blocks of so many tokens, whatever it has, as a cache does that keeps one array for each sequence. For
  /// comparison: without prefix cache and forks the blocks' ids are contiguous, and nobody is ever preempted.
  case longestContext(tokens: Int)

  /// Tokens that a sequence of `count` tokens needs blocks for.
  func tokens(_ count: Int) -> Int {
    switch self {
    case .asNeeded: count
    case .longestContext(let tokens): max(tokens, count)
    }
  }
}
