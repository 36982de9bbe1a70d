import ServingTypes
import SpeculativeDecoding
import Testing

@Suite struct NGramProposerTests {
  private func propose(_ tokens: [TokenID], _ limit: Int = 4, shortest: Int = 2, longest: Int = 4) -> [TokenID] {
    var proposer = NGramProposer(shortest: shortest, longest: longest)
    proposer.append(contentsOf: tokens)
    var drafts: [TokenID] = []
    proposer.propose(limit, into: &drafts)
    return drafts
  }

  @Test func proposesWhatFollowedTheSameTokens() {
    #expect(propose([1, 2, 3, 4, 5, 6, 9, 1, 2]) == [3, 4, 5, 6])
    #expect(propose([1, 2, 3, 4, 5, 6, 9, 1, 2], 2) == [3, 4])
  }

  @Test func prefersTheLongestMatchThenTheMostRecent() {
    // "2 3" was followed by 8 most recently, but "1 2 3" by 7.
    #expect(propose([1, 2, 3, 7, 5, 2, 3, 8, 6, 1, 2, 3], 1) == [7])
    #expect(propose([2, 3, 7, 2, 3, 8, 2, 3], 1) == [8])
  }

  @Test func goesOnWithItsOwnDraftsInARepetition() {
    #expect(propose([5, 5, 5, 5, 5]) == [5, 5, 5, 5])
    #expect(propose([1, 2, 3, 1, 2, 3], 7) == [1, 2, 3, 1, 2, 3, 1])
  }

  @Test func proposesNothingWithoutAMatch() {
    #expect(propose([]).isEmpty)
    #expect(propose([1]).isEmpty)
    #expect(propose([1, 2]).isEmpty)
    #expect(propose([1, 2, 3, 4, 5]).isEmpty)
    #expect(propose([1, 2, 9, 2]).isEmpty, "one token is fewer than the shortest n-gram")
    #expect(propose([1, 2, 1, 2], 0).isEmpty)
  }

  @Test func appendsToWhatIsThere() {
    var proposer = NGramProposer(shortest: 1, longest: 2)
    proposer.append(contentsOf: [4, 6, 4])
    var drafts: [TokenID] = [99]
    proposer.propose(3, into: &drafts)
    #expect(drafts == [99, 6, 4, 6])
  }

  /// The table must find what a search through all tokens finds, in steps of any size.
  @Test(arguments: 0..<20)
  func findsWhatASearchFinds(seed: UInt64) {
    var state = seed &* 0x9E37_79B9_7F4A_7C15 | 1
    func random(_ bound: UInt64) -> Int {
      state ^= state << 13
      state ^= state >> 7
      state ^= state << 17
      return Int(state % bound)
    }
    var proposer = NGramProposer(shortest: 2, longest: 4)
    var tokens: [TokenID] = []
    for _ in 0..<400 {
      let piece = (0...random(4)).map { _ in TokenID(random(6)) }
      proposer.append(contentsOf: piece)
      tokens += piece
      var drafts: [TokenID] = []
      proposer.propose(1, into: &drafts)
      let expected = Self.search(tokens)
      #expect(drafts.first == expected)
    }
  }

  private static func search(_ tokens: [TokenID]) -> TokenID? {
    for length in [4, 3, 2] where tokens.count > length {
      let suffix = tokens.suffix(length)
      for end in stride(from: tokens.count - 1, through: length, by: -1)
      where tokens[(end - length)..<end].elementsEqual(suffix) {
        return tokens[end]
      }
    }
    return nil
  }

  @Test func survivesMoreNGramsThanItsTableHolds() {
    var proposer = NGramProposer()
    proposer.append(contentsOf: (0..<200_000).map { TokenID($0) })
    proposer.append(contentsOf: [199_000, 199_001])
    var drafts: [TokenID] = []
    proposer.propose(2, into: &drafts)
    #expect(drafts == [199_002, 199_003])
  }
}
