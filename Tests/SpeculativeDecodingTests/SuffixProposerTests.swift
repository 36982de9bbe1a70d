import ServingTestKit
import ServingTypes
import SpeculativeDecoding
import Testing

@Suite struct SuffixProposerTests {
  private func proposer(_ tokens: [TokenID]) -> SuffixProposer {
    var proposer = SuffixProposer()
    proposer.append(contentsOf: tokens)
    return proposer
  }

  private func drafts(_ tokens: [TokenID], limit: Int = 4) -> [TokenID] {
    var drafts: [TokenID] = []
    var proposer = proposer(tokens)
    proposer.propose(limit, into: &drafts)
    return drafts
  }

  /// What followed the longest suffix that stands earlier, with how often; by trying all places.
  private func continuations(_ tokens: [TokenID]) -> (length: Int, counts: [TokenID: Int]) {
    for length in stride(from: tokens.count - 1, through: 1, by: -1) {
      var counts: [TokenID: Int] = [:]
      for end in length..<tokens.count where tokens[end - length..<end] == tokens[(tokens.count - length)...] {
        counts[tokens[end], default: 0] += 1
      }
      if !counts.isEmpty { return (length, counts) }
    }
    return (0, [:])
  }

  @Test(arguments: [2, 3, 5, 20]) func proposesTheMostFrequentContinuationOfTheLongestMatch(alphabet: Int) {
    var random = SplitMix64(seed: UInt64(alphabet))
    var tokens: [TokenID] = []
    var proposed = 0
    for _ in 0..<300 {
      // Now and then a piece of what was said before.
      if tokens.count > 20, random.next() % 5 == 0 {
        let start = Int(random.next() % UInt64(tokens.count - 10))
        tokens += Array(tokens[start..<start + 8])
      } else {
        tokens.append(TokenID(random.next() % UInt64(alphabet)))
      }
      let expected = continuations(tokens)
      let drafts = drafts(tokens, limit: 1)
      guard let draft = drafts.first else {
        // One of four equal continuations is not worth a guess, nor is what follows a single token.
        #expect(expected.length < 2 || expected.counts.count > 1)
        continue
      }
      proposed += 1
      #expect(expected.length >= 2)
      #expect(expected.counts[draft] == expected.counts.values.max())
    }
    #expect(proposed > 50)
  }

  @Test func goesOnAsARepetitionDoes() {
    #expect(drafts([1, 2, 3, 1, 2, 3, 1, 2, 3, 1, 2, 3], limit: 7) == [1, 2, 3, 1, 2, 3, 1])
  }

  @Test func goesTheFurtherTheSurerItIs() {
    let certain: [TokenID] = Array(10..<30) + [1] + Array(10..<20)
    #expect(drafts(certain, limit: 8) == Array(20..<28))
    // After (1, 2) anything may come.
    var torn: [TokenID] = []
    for token in 10..<40 as Range<TokenID> { torn += [1, 2, token] }
    #expect(drafts(torn + [1, 2], limit: 8).isEmpty)
    #expect(drafts([1, 2, 3, 4, 5], limit: 8).isEmpty)
    #expect(drafts([], limit: 8).isEmpty)
  }

  @Test func forgetsTheFarPastOfALongSequence() {
    var proposer = proposer([7, 8, 9])
    var random = SplitMix64(seed: 1)
    proposer.append(contentsOf: (0..<2 * SuffixProposer.tokenLimit).map { _ in TokenID(100 + random.next() % 50_000) })
    proposer.append(contentsOf: [7, 8])
    var drafts: [TokenID] = []
    proposer.propose(4, into: &drafts)
    #expect(drafts.isEmpty)
    proposer.append(contentsOf: [9, 6, 7, 8])
    proposer.propose(2, into: &drafts)
    #expect(drafts == [9, 6])
  }

  // MARK: Recent outputs

  private func shared(
    _ tokens: [TokenID], _ history: borrowing SuffixHistory, salt: String, limit: Int = 4
  ) -> [TokenID] {
    var drafts: [TokenID] = []
    proposer(tokens).propose(limit, leastChance: 0.1, history: history, salt: salt, into: &drafts)
    return drafts
  }

  @Test func goesOnAsAnEarlierOutputDid() {
    var history = SuffixHistory()
    let output: [TokenID] = Array(100..<140)
    history.record(output[...], salt: "a")
    #expect(shared([1, 2, 110, 111, 112, 113], history, salt: "a") == [114, 115, 116, 117])
    // At the output's end there is nothing to go on with.
    #expect(shared([1, 137, 138, 139], history, salt: "a").isEmpty)
    #expect(shared([1, 136, 137, 138], history, salt: "a") == [139])
  }

  @Test func tenantsDoNotSeeEachOther() {
    var history = SuffixHistory()
    history.record((100..<140)[...].map { TokenID($0) }[...], salt: "a")
    #expect(shared([110, 111, 112], history, salt: "b").isEmpty)
    #expect(shared([110, 111, 112], history, salt: "").isEmpty)
  }

  @Test func outputsAndSaltsAreBounded() {
    var history = SuffixHistory(tokenLimit: 100, saltLimit: 3)
    var random = SplitMix64(seed: 3)
    for round in 0..<200 {
      let output = (0..<50).map { _ in TokenID(random.next() % 1_000) }
      history.record(output[...], salt: "\(round % 5)")
      #expect(history.tokenCount <= 3 * 2 * 102)
    }
    let first: [TokenID] = Array(2_000..<2_040)
    history.record(first[...], salt: "x")
    #expect(shared([2_010, 2_011], history, salt: "x", limit: 1) == [2_012])
    for round in 0..<20 { history.record(first.map { $0 + TokenID(100 * (round + 1)) }[...], salt: "x") }
    #expect(shared([2_010, 2_011], history, salt: "x", limit: 1).isEmpty)
  }
}
