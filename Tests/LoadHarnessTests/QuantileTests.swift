import LoadHarness
import Testing

@Suite struct QuantileTests {
  @Test func quantilesInterpolate() {
    #expect([4, 1, 3, 2].median == 2.5)
    #expect([10, 20].quantile(0.99) == 19.9)
    #expect([7.0].quantile(0.99) == 7)
    #expect([Double]().median == 0)
    #expect([1, 2].quantile(2) == 2)
  }

  @Test func barsCompareInTheirDirection() {
    let faster = Bar(work: "w", figure: "f", ours: 3, baseline: 2, .atLeast, bar: 1.5, unit: "tokens/s")
    #expect(faster.met && faster.ratio == 1.5)
    let slower = Bar(work: "w", figure: "f", ours: 3, baseline: 2, .atMost, bar: 1.4, unit: "ms")
    #expect(!slower.met)
    let alone = Bar(work: "w", figure: "f", ours: 3, baseline: nil, .atMost, bar: 4, unit: "MiB")
    #expect(alone.met && alone.ratio == 3)
    #expect(!Bar(work: "w", figure: "f", ours: 3, baseline: 0, .atLeast, bar: 1, unit: "").met)
  }
}
