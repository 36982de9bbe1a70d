import ServingTypes
import SpeculativeDecoding
import Testing

@Suite struct DraftVocabularyTests {
  private func prefix(_ size: Int, _ tokens: some Sequence<TokenID>) -> Int? {
    var vocabulary = DraftVocabulary(size: size)
    for token in tokens { vocabulary.record(token) }
    return vocabulary.prefix
  }

  @Test(
    arguments: [
      (0, 18_992), (18_991, 18_992), (18_992, 37_984), (37_984, 75_968), (75_968, nil), (151_935, nil),
    ] as [(TokenID, Int?)])
  func isTheShortestThatHoldsTheText(token: TokenID, expected: Int?) {
    #expect(prefix(151_936, (0..<100).map { $0 % 2 == 0 ? token : 5 }) == expected)
  }

  @Test func isNotBelievedBeforeSomeTokens() {
    #expect(prefix(151_936, [TokenID](repeating: 1, count: 31)) == nil)
    #expect(prefix(151_936, [TokenID](repeating: 1, count: 40)) == 18_992)
  }

  @Test func smallVocabulariesStayWhole() {
    #expect(prefix(32_767, [TokenID](repeating: 1, count: 100)) == nil)
    #expect(prefix(32_768, [TokenID](repeating: 1, count: 100)) == 16_384)
  }

  @Test func aFewTokensMayLieBehindIt() {
    for (distance, expected) in [(48, 18_992), (16, nil)] as [(Int, Int?)] {
      let text = (0..<2_000).map { TokenID($0 % distance == 0 ? 150_000 : 7) }
      #expect(prefix(151_936, text) == expected, "one in \(distance)")
    }
  }

  @Test func followsTheText() {
    var vocabulary = DraftVocabulary(size: 151_936)
    for _ in 0..<1_000 { vocabulary.record(3) }
    #expect(vocabulary.prefix == 18_992)
    for _ in 0..<16 { vocabulary.record(120_000) }
    #expect(vocabulary.prefix == nil)
    for _ in 0..<1_000 { vocabulary.record(3) }
    #expect(vocabulary.prefix == 18_992)
  }
}
