import LoadHarness
import Testing

@Suite struct PairedRatioTests {
  @Test func theIntervalIsStudents() {
    // Logarithms −0.1, 0, 0.1: their mean is 0, its error 0.1 ÷ √3, and with two degrees of freedom 4.303 of those count.
    let ratio = PairedRatio([0.904837418, 1, 1.105170918])
    #expect(ratio.median == 1 && ratio.pairs == 3)
    #expect(abs(ratio.mean - 1) < 1e-6)
    #expect(abs(ratio.high - 1.282) < 0.04 && abs(ratio.low * ratio.high - 1) < 1e-6)
    // With nineteen, 2.093.
    let many = PairedRatio((0..<20).map { $0 % 2 == 0 ? 1.02 : 1 / 1.02 })
    #expect(abs(many.high - 1.00956) < 1e-4)
  }

  @Test func equalPairsLeaveNoDoubt() {
    let ratio = PairedRatio([1.5, 1.5, 1.5, 1.5])
    #expect(abs(ratio.low - 1.5) < 1e-9 && abs(ratio.high - 1.5) < 1e-9)
  }
}
