import ServingTypes
import SpeculativeDecoding
import Testing

@Suite struct DraftVerifierTests {
  /// Verifies against a target whose token at each position is `truth`.
  private func verify(_ drafts: [TokenID], truth: [TokenID]) -> DraftVerifier {
    var verifier = DraftVerifier(drafts: drafts)
    while verifier.take(truth[verifier.tokens.count]) {}
    return verifier
  }

  @Test func acceptsUpToTheFirstDifference() {
    let verifier = verify([1, 2, 9, 4], truth: [1, 2, 3, 4, 5])
    #expect(verifier.accepted == 2)
    #expect(verifier.tokens == [1, 2, 3])
  }

  @Test func givesOneTokenMoreWhenAllAreAccepted() {
    let verifier = verify([1, 2], truth: [1, 2, 3])
    #expect(verifier.accepted == 2)
    #expect(verifier.tokens == [1, 2, 3])
  }

  @Test func withoutDraftsItIsPlainDecoding() {
    let verifier = verify([], truth: [7])
    #expect(verifier.accepted == 0)
    #expect(verifier.tokens == [7])
  }

  @Test func theOutputDoesNotDependOnTheDrafts() {
    let truth: [TokenID] = (0..<100).map { $0 * 7 % 5 }
    for width in 0..<6 {
      var output: [TokenID] = []
      var proposer = NGramProposer()
      while output.count < 90 {
        var drafts: [TokenID] = []
        proposer.propose(width, into: &drafts)
        let verifier = verify(drafts, truth: Array(truth[output.count...]))
        output += verifier.tokens
        proposer.append(contentsOf: verifier.tokens)
      }
      #expect(output == Array(truth.prefix(output.count)))
    }
  }
}
