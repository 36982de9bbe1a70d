import ServingTestKit
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

  // MARK: Whole answers, by the same costs

  /// Time that an answer takes, relative to plain decoding, where each draft is accepted with a chance that depends on the place.
  private func time(
    tokens: Int, maximum: Int = 4, batchSize: Int = 1, cost: DraftLength.StepCost, seed: UInt64,
    chance: (Int) -> Double
  ) -> Double {
    var length = DraftLength(maximum: maximum)
    var random = SplitMix64(seed: seed)
    var (produced, time) = (0, 0.0)
    let batch = Double(batchSize)
    while produced < tokens {
      let drafts = length.next(batchSize: batchSize, cost: cost)
      var accepted = 0
      while accepted < drafts, Double.random(in: 0..<1, using: &random) < chance(produced) { accepted += 1 }
      length.record(proposed: drafts, accepted: accepted)
      produced += 1 + accepted
      time += cost.fixed + batch * cost.perToken * Double(1 + drafts) + cost.perDraft * Double(drafts)
    }
    return time / (Double(tokens) * (cost.fixed + batch * cost.perToken))
  }

  private static let costs: [DraftLength.StepCost] = [
    // A verified token at a twentieth and a tenth of a step; a draft model of a third of the target.
    .init(fixed: 20, perToken: 1), .init(fixed: 20, perToken: 2), .init(fixed: 20, perToken: 1, perDraft: 7),
  ]

  @Test(arguments: costs, [1, 8, 64]) func costsLittleWhereNothingCanBeGuessed(
    cost: DraftLength.StepCost, batchSize: Int
  ) {
    for seed in 0..<5 as Range<UInt64> {
      #expect(time(tokens: 256, batchSize: batchSize, cost: cost, seed: seed) { _ in 0 } <= 1.03)
    }
  }

  @Test(arguments: costs) func paysWhereMostIsGuessed(cost: DraftLength.StepCost) {
    #expect(time(tokens: 256, cost: cost, seed: 1) { _ in 0.85 } < 0.75)
  }

  @Test func isNeverMuchSlowerWhateverTheChance() {
    for cost in Self.costs {
      for chance in stride(from: 0.0, through: 1, by: 0.1) {
        #expect(time(tokens: 1_000, cost: cost, seed: 9) { _ in chance } <= 1.03, "\(cost) \(chance)")
      }
    }
  }

  @Test func noticesWhenTheTextChanges() {
    let cost = DraftLength.StepCost(fixed: 20, perToken: 1)
    // From the middle on everything can be guessed.
    #expect(time(tokens: 1_000, cost: cost, seed: 2) { $0 < 500 ? 0 : 1 } < 0.75)
  }

  @Test func aDearDraftModelIsNotAsked() {
    var length = DraftLength(maximum: 4)
    for _ in 0..<20 { length.record(proposed: 4, accepted: 4) }
    #expect(length.next(batchSize: 1, cost: .init(fixed: 10, perToken: 1, perDraft: 12)) == 0)
    #expect(length.next(batchSize: 1, cost: .init(fixed: 10, perToken: 1, perDraft: 2)) == 4)
  }

  @Test func aProbeStaysDueUntilADraftWasJudged() {
    var length = DraftLength(maximum: 4)
    _ = run(100, &length) { _ in 0 }
    while length.next(batchSize: 1, cost: cheap) == 0 {}
    #expect(length.isProbing)
    #expect(length.next(batchSize: 1, cost: cheap) == 1)
    length.record(proposed: 0, accepted: 0)
    #expect(length.next(batchSize: 1, cost: cheap) == 1)
    length.record(proposed: 1, accepted: 0)
    #expect(length.next(batchSize: 1, cost: cheap) == 0)
  }

  @Test func beginsWithWhatTheEngineHasSeen() {
    var hopeless = DraftLength(maximum: 4, acceptance: 0)
    #expect(hopeless.next(batchSize: 1, cost: cheap) == 0)
    var hopeful = DraftLength(maximum: 4, acceptance: 0.9)
    #expect(hopeful.next(batchSize: 1, cost: cheap) == 4)
  }

  @Test func anotherDraftMustBeLikelierWhereDraftsAreDear() {
    let length = DraftLength(maximum: 4)
    let free = length.leastChance(batchSize: 1, cost: .init(fixed: 20, perToken: 1))
    let dear = length.leastChance(batchSize: 1, cost: .init(fixed: 20, perToken: 1, perDraft: 6))
    #expect(free > 0.04 && free < 0.1)
    #expect(dear > 0.3 && dear < 0.5)
  }

  @Test func expectsAGainOnlyFromDraftsThatAreAccepted() {
    let cost = DraftLength.StepCost(fixed: 20, perToken: 1, perDraft: 8)
    #expect(DraftLength(maximum: 4, acceptance: 0.3).expectedGain(batchSize: 1, cost: cost) == 1)
    #expect(DraftLength(maximum: 4, acceptance: 0.9).expectedGain(batchSize: 1, cost: cost) > 1.3)
  }
}
