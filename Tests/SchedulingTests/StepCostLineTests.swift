import Scheduling
import Testing

@Suite struct StepCostLineTests {
  @Test func findsTheLine() {
    var costs = StepCostLine()
    #expect(!costs.isMeasured)
    for round in 0..<200 { costs.observe(tokens: 1 + round % 40, seconds: 0.02 + 0.001 * Double(1 + round % 40)) }
    #expect(costs.isMeasured)
    #expect(abs(costs.line.fixed - 0.02) < 0.002)
    #expect(abs(costs.line.perToken - 0.001) < 0.0001)
  }

  @Test func remembersTheSizesThatAreNotRunNow() {
    var costs = StepCostLine()
    for _ in 0..<20 { costs.observe(tokens: 1, seconds: 0.022) }
    for _ in 0..<200 { costs.observe(tokens: 5, seconds: 0.03) }
    #expect(abs(costs.line.perToken - 0.002) < 0.0002)
  }

  @Test func oneDisturbedStepChangesLittle() {
    var costs = StepCostLine()
    for _ in 0..<50 {
      costs.observe(tokens: 1, seconds: 0.02)
      costs.observe(tokens: 5, seconds: 0.024)
    }
    costs.observe(tokens: 5, seconds: 10)
    #expect(costs.line.perToken < 0.006)
  }

  /// What a step takes alone bounds the steps of long prompts, so that some disturbed ones must not stretch it.
  @Test func aFewDisturbedStepsAreNotTypical() throws {
    var costs = StepCostModel()
    for round in 0..<60 {
      costs.observe(prefillTokens: 0, decodeTokens: 4, seconds: round % 3 == 2 ? 0.03 : 0.02)
    }
    for _ in 0..<4 { costs.observe(prefillTokens: 0, decodeTokens: 4, seconds: 0.2) }
    let seconds = try #require(costs.decodeSeconds(tokens: 4))
    #expect((0.019...0.024).contains(seconds))
    for _ in 0..<100 { costs.observe(prefillTokens: 0, decodeTokens: 4, seconds: 0.04) }
    #expect(abs(try #require(costs.decodeSeconds(tokens: 4)) - 0.04) < 0.002)
  }

  /// Gaps beside a long prompt are several times what is typical, and a machine that is slow for a second must not add to that.
  @Test func slowStepsOfASecondHardlyMoveWhatIsTypical() throws {
    var costs = StepCostModel()
    for _ in 0..<50 { costs.observe(prefillTokens: 0, decodeTokens: 8, seconds: 0.01) }
    for _ in 0..<25 { costs.observe(prefillTokens: 0, decodeTokens: 8, seconds: 0.015) }
    #expect(try #require(costs.decodeSeconds(tokens: 8)) < 0.0125)
  }

  /// Short contexts follow long ones: what is believed too long would stretch the gaps beside a prompt.
  @Test func fasterStepsAreBelievedSoon() throws {
    var costs = StepCostModel()
    for _ in 0..<50 { costs.observe(prefillTokens: 0, decodeTokens: 8, seconds: 0.02) }
    for _ in 0..<25 { costs.observe(prefillTokens: 0, decodeTokens: 8, seconds: 0.01) }
    #expect(try #require(costs.decodeSeconds(tokens: 8)) < 0.0125)
  }

  /// However many steps of other sizes lie between them.
  @Test func whatIsTypicalOfASeldomSizeStandsAsFirm() throws {
    var costs = StepCostModel()
    func observe(_ seconds: Double) {
      costs.observe(prefillTokens: 0, decodeTokens: 8, seconds: seconds)
      for _ in 0..<40 { costs.observe(prefillTokens: 0, decodeTokens: 1, seconds: 0.005) }
    }
    for _ in 0..<50 { observe(0.01) }
    for _ in 0..<10 { observe(0.015) }
    for _ in 0..<5 { costs.observe(prefillTokens: 0, decodeTokens: 8, seconds: 0.015) }
    #expect(try #require(costs.decodeSeconds(tokens: 8)) < 0.0125)
  }

  /// The first steps of a size touch memory for the first time.
  @Test func aSlowFirstStepIsSoonForgotten() throws {
    var costs = StepCostModel()
    costs.observe(prefillTokens: 0, decodeTokens: 8, seconds: 0.02)
    for _ in 0..<10 { costs.observe(prefillTokens: 0, decodeTokens: 8, seconds: 0.01) }
    #expect(try #require(costs.decodeSeconds(tokens: 8)) < 0.0105)
  }

  @Test func aVerdictAgainstDraftsFades() {
    var costs = StepCostLine()
    for _ in 0..<20 {
      costs.observe(tokens: 1, seconds: 0.02)
      costs.observe(tokens: 5, seconds: 0.2)
    }
    #expect(costs.line.perToken > 0.04)
    for _ in 0..<3_000 { costs.observe(tokens: 1, seconds: 0.02) }
    #expect(costs.line.perToken < 0.005)
  }

  @Test func tokensNeverSeemFree() {
    var costs = StepCostLine()
    for round in 0..<100 { costs.observe(tokens: 1 + round % 8, seconds: 0.02 - 0.0001 * Double(round % 8)) }
    #expect(costs.line.perToken > 0)
    #expect(costs.line.fixed > 0)
    costs.observe(tokens: 0, seconds: 1)
    costs.observe(tokens: 1, seconds: .nan)
    costs.observe(tokens: 1_000_000, seconds: 30)
    #expect(costs.line.fixed.isFinite && costs.line.perToken.isFinite)
  }
}
