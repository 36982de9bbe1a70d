import SpeculativeDecoding
import Testing

@Suite struct AnswerLengthsTests {
  @Test func whatIsThereAlreadyPromisesMore() {
    let answers = AnswerLengths()
    var last = 0.0
    for count in [1, 8, 64, 512] {
      let rest = answers.expectedRest(after: count, limit: 4096)
      #expect(rest > last)
      last = rest
    }
    #expect(answers.expectedRest(after: 100, limit: 0) == 0)
    #expect(answers.expectedRest(after: 100, limit: 10) <= 10)
  }

  @Test func shortAnswersAreLearnt() {
    var answers = AnswerLengths()
    for _ in 0..<40 { answers.record(24, isWhole: true) }
    #expect(answers.expectedRest(after: 2, limit: 1000) < 32)
    #expect(answers.expectedRest(after: 2, limit: 1000) > 12)
    // One that is longer than all before may be of another kind.
    #expect(answers.expectedRest(after: 40, limit: 1000) > 20)
  }

  @Test func longAnswersAreLearnt() {
    var answers = AnswerLengths()
    for _ in 0..<40 { answers.record(700, isWhole: true) }
    #expect(answers.expectedRest(after: 2, limit: 2000) > 450)
  }

  /// A limit says nothing of how long the answer would have been.
  @Test func answersThatWereCutCountAsFarAsTheyGo() {
    var answers = AnswerLengths()
    for _ in 0..<40 { answers.record(64, isWhole: false) }
    #expect(answers.expectedRest(after: 2, limit: 62) > 50)
    #expect(answers.expectedRest(after: 65, limit: 64) == AnswerLengths().expectedRest(after: 65, limit: 64))
  }

  @Test func whatCannotEndIsCertain() {
    var answers = AnswerLengths()
    for _ in 0..<40 { answers.record(3, isWhole: true) }
    #expect(answers.expectedRest(after: 2, limit: 98, certain: 100) == 98)
    #expect(answers.expectedRest(after: 2, limit: 98, certain: 50) >= 48)
    #expect(answers.expectedRest(after: 60, limit: 10, certain: 50) <= 10)
  }

  @Test func theLongestLengthsHaveAnEnd() {
    var answers = AnswerLengths()
    answers.record(Int.max, isWhole: true)
    answers.record(0, isWhole: true)
    #expect(answers.expectedRest(after: 1 << 40, limit: 1 << 20) > 0)
  }
}
