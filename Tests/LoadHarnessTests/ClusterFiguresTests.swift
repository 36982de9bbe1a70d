import LoadHarness
import ServingTypes
import Testing

@Suite struct ClusterFiguresTests {
  private func result(
    _ id: Int, prompt: [TokenID], tokens: [TokenID], tenant: Int? = nil, first: Double = 0.1, gap: Double = 0.01,
    cached: Int = 0, failure: String? = nil
  ) -> ClusterResult {
    var result = ClusterResult(
      request: TraceRequest(id: id, promptLength: prompt.count, outputLength: tokens.count, tenant: tenant),
      prompt: prompt, submitted: Double(id))
    result.tokens = tokens
    result.arrivals = tokens.indices.map { first + gap * Double($0) }
    result.cachedTokens = cached
    result.failure = failure
    return result
  }

  private let tokens = (0..<100).map { TokenID($0) }

  @Test func aPerfectCacheFindsFullBlocksAndNeverAWholePrompt() {
    var cache = PerfectCache(blockSize: 16)
    #expect(cache.cachedTokens(of: tokens, salt: "") == 0)
    cache.insert(Array(tokens[..<40]), salt: "")
    #expect(cache.cachedTokens(of: tokens, salt: "") == 32)
    #expect(cache.cachedTokens(of: Array(tokens[..<33]), salt: "") == 32)
    // Its last token has to be computed for the next one.
    #expect(cache.cachedTokens(of: Array(tokens[..<32]), salt: "") == 16)
    #expect(cache.cachedTokens(of: tokens, salt: "another tenant") == 0)
    #expect(cache.cachedTokens(of: [99] + tokens, salt: "") == 0)
    #expect(cache.cachedTokens(of: [1], salt: "") == 0)
  }

  @Test func thePerfectHitRateKnowsEarlierRequestsAndTheirAnswers() {
    let results = [
      result(1, prompt: Array(tokens[..<64]), tokens: [5]),
      result(0, prompt: Array(tokens[..<20]), tokens: Array(tokens[20..<40])),
      result(2, prompt: Array(tokens[..<64]), tokens: [5], tenant: 1),
      result(3, prompt: Array(tokens[..<64]), tokens: [5], failure: "gone"),
    ]
    // In order of time: 0 of 20, 32 of 64, 0 of another tenant's 64; failures do not count.
    #expect(PerfectCache.hitRate(of: results, blockSize: 16) == 32.0 / 148)
    // The first is known, and not counted.
    var later = results
    for index in later.indices { later[index].request.arrival = later[index].submitted }
    #expect(PerfectCache.hitRate(of: later, blockSize: 16, from: 1) == 32.0 / 128)
    #expect(PerfectCache.hitRate(of: [], blockSize: 16) == 0)
  }

  @Test func figuresCountWhatTheySay() {
    let results = [
      result(0, prompt: tokens, tokens: [1, 2, 3], cached: 50),
      result(1, prompt: tokens, tokens: [1, 2, 3], first: 0.6),
      result(2, prompt: tokens, tokens: [1, 2, 3], gap: 0.2, cached: 100),
      result(3, prompt: tokens, tokens: [], failure: "gone"),
    ]
    let figures = ClusterFigures(
      results, goal: .init(firstToken: 0.5, gap: 0.05), blockSize: 16, busySeconds: [[1, 3], [2, 2, 2]])
    #expect(figures.requests == 4 && figures.successRate == 0.75 && figures.goodShare == 0.25)
    #expect(abs(figures.goodput - 1 / 2.5) < 1e-9 && abs(figures.tokensPerSecond - 9 / 2.5) < 1e-9)
    #expect(figures.hitRate == 0.5 && figures.imbalance == 1.5 && figures.failures == ["gone"])
    #expect(abs(figures.firstToken.p50 - 0.1) < 1e-9 && abs(figures.gap.p50 - 0.01) < 1e-9)
  }

  @Test func theWarmUpIsNotCounted() {
    var results = [result(0, prompt: tokens, tokens: [1, 2]), result(4, prompt: tokens, tokens: [1, 2], cached: 96)]
    for index in results.indices { results[index].request.arrival = results[index].submitted }
    let figures = ClusterFigures(
      results, warmUp: 3, goal: .init(firstToken: 1, gap: 1), blockSize: 16, busySeconds: [[1]])
    #expect(figures.requests == 1 && figures.hitRate == 0.96 && figures.perfectHitRate == 0.96)
    // From the warm-up's end at 3 to the last token at 4.11.
    #expect(abs(figures.tokensPerSecond - 2 / 1.11) < 1e-9)
  }

  @Test func nothingIsNoFigure() {
    let figures = ClusterFigures([], goal: .init(firstToken: 1, gap: 1), blockSize: 16, busySeconds: [[], [0, 0]])
    #expect(figures.requests == 0 && figures.successRate == 0 && figures.imbalance == 0 && figures.goodput == 0)
  }
}
