import KVCache
import ServingTypes

/// What a draft model holds of one sequence.
final class DraftSequence {
  var table = BlockTable()
  /// Leading tokens of the sequence whose keys and values are in the blocks.
  var computedCount = 0
  /// Leading tokens that the choice of the vocabulary's prefix has taken in, or that stood before the first ask.
  var recordedCount: Int
  /// Leading blocks that are in the prefix cache.
  var sealedCount = 0
  /// Drafts whose keys and values follow; right as far as they were accepted.
  var guesses: [TokenID] = []
  /// Of the last drafts, how sure each one was.
  var levels: [Int] = []
  /// The last round in which the sequence ran, and in which drafts were wanted for it.
  var seenRound: UInt64 = 0
  var askedRound: UInt64 = 0

  init(recordedCount: Int) { self.recordedCount = recordedCount }

  /// Takes over the guesses that turned out right; the others are written over.
  func settle(_ tokens: [TokenID]) {
    // The last token is always computed anew: its logits are wanted.
    computedCount = min(computedCount, tokens.count - 1)
    for guess in guesses {
      guard computedCount < tokens.count - 1, tokens[computedCount] == guess else { break }
      computedCount += 1
    }
    guesses.removeAll(keepingCapacity: true)
  }
}
