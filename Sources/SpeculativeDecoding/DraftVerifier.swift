import ServingTypes

/// Compares drafts with the tokens that the target model draws at the same positions, one after another.
///
/// A draft is accepted when it equals the drawn token, so that the output is the one that plain decoding gives, whatever was
/// proposed. Rows are taken in order because a penalty makes a row's token depend on the ones before it:
///
///     var verifier = DraftVerifier(drafts: drafts)
///     repeat { token = sample(row: verifier.tokens.count) } while verifier.take(token)
public struct DraftVerifier: Sendable {
  public let drafts: [TokenID]
  /// The tokens that the sequence gets, one more than were accepted unless it ended early.
  public private(set) var tokens: [TokenID] = []
  /// Drafts that agreed.
  public private(set) var accepted = 0

  /// Verifies `drafts`, which were proposed for the positions after the sequence's last token.
  public init(drafts: [TokenID]) {
    self.drafts = drafts
    tokens.reserveCapacity(drafts.count + 1)
  }

  /// Takes the token drawn from the next row; true where the row after it counts as well.
  ///
  /// A caller that stops early (an end token, the length limit) simply takes no more.
  public mutating func take(_ token: TokenID) -> Bool {
    precondition(tokens.count == accepted && accepted <= drafts.count, "the last row did not count any more")
    tokens.append(token)
    guard accepted < drafts.count, drafts[accepted] == token else { return false }
    accepted += 1
    return true
  }
}
