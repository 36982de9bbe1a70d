import SpeculativeDecoding
import Testing

@Suite struct DraftLengthTests {
  private let cheap = DraftLength.StepCost(fixed: 10, perToken: 0.2)

  /// Lets drafts be accepted with a fixed pattern and returns the lengths chosen.
  private func run(_ steps: Int, _ length: inout DraftLength, batchSize: Int = 1, accepted: (Int) -> Int) -> [Int] {
    (0..<steps).map { _ in
      let drafts = length.next(batchSize: batchSize, cost: cheap)
      length.record(proposed: drafts, accepted: accepted(drafts))
      return drafts
    }
  }

  @Test func growsToTheMaximumWhereAllIsAccepted() {
    var length = DraftLength(maximum: 6)
    #expect(run(30, &length) { $0 }.last == 6)
    #expect(length.acceptance > 0.9)
  }

  @Test func fallsToNothingButForRareProbes() {
    var length = DraftLength(maximum: 6)
    _ = run(100, &length) { _ in 0 }
    let later = run(2_000, &length) { _ in 0 }
    #expect(later.filter { $0 > 0 }.count <= 12)
    #expect(later.contains { $0 > 0 }, "it must try again now and then")
    #expect(later.max() == 1)
  }

  @Test func recoversThroughProbes() {
    var length = DraftLength(maximum: 4)
    _ = run(300, &length) { _ in 0 }
    let later = run(3_000, &length) { $0 }
    #expect(later.last == 4)
  }

  @Test func dearTokensMeanFewerDrafts() {
    var single = DraftLength(maximum: 8)
    for _ in 0..<50 { single.record(proposed: 4, accepted: 3) }
    var crowded = single
    let alone = single.next(batchSize: 1, cost: cheap)
    let together = crowded.next(batchSize: 500, cost: cheap)
    #expect(alone > together)
    var bound = DraftLength(maximum: 8)
    for _ in 0..<50 { bound.record(proposed: 4, accepted: 1) }
    #expect(bound.next(batchSize: 64, cost: .init(fixed: 0, perToken: 1)) == 0)
  }

  @Test func neverProposesWhereEachTokenCostsAWholeStep() {
    var length = DraftLength(maximum: 4)
    for _ in 0..<1_000 {
      #expect(length.next(batchSize: 1, cost: .init(fixed: 0, perToken: 1)) == 0)
    }
  }

  @Test func aMaximumOfNothingIsNothing() {
    var length = DraftLength(maximum: 0)
    for _ in 0..<1_000 { #expect(length.next(batchSize: 1, cost: cheap) == 0) }
    var negative = DraftLength(maximum: -3)
    #expect(negative.next(batchSize: 0, cost: .init(fixed: 0, perToken: 0)) == 0)
  }
}
