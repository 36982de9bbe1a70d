/// What a cluster did with a trace.
public struct ClusterFigures: Codable, Hashable, Sendable {
  /// Seconds at three places of a distribution.
  public struct Spread: Codable, Hashable, Sendable {
    public var p50: Double
    public var p90: Double
    public var p99: Double

    public init(_ values: [Double]) {
      p50 = values.quantile(0.5)
      p90 = values.quantile(0.9)
      p99 = values.quantile(0.99)
    }
  }

  /// What a request has to keep to count as served well.
  public struct Goal: Codable, Hashable, Sendable {
    /// Seconds to the first token.
    public var firstToken: Double
    /// Seconds between two tokens, in the mean of the request.
    public var gap: Double

    public init(firstToken: Double, gap: Double) {
      self.firstToken = firstToken
      self.gap = gap
    }
  }

  public var requests: Int
  /// Shares of the requests.
  public var successRate: Double
  public var goodShare: Double
  /// Requests a second that keep the goal.
  public var goodput: Double
  public var tokensPerSecond: Double
  public var firstToken: Spread
  public var gap: Spread
  /// Prompt tokens that nobody computed, as a share of all; and what a perfect cache finds.
  public var hitRate: Double
  public var perfectHitRate: Double
  /// Seconds that the busiest worker of a tier computed, over the mean of the tier; of the less even tier.
  public var imbalance: Double
  /// Reasons of failures, the first few.
  public var failures: [String]

  /// - Parameters:
  ///   - all: of the warm-up too.
  ///   - warmUp: seconds; requests of the trace before it are not counted.
  ///   - busySeconds: what each worker computed after the warm-up, by tier.
  public init(_ all: [ClusterResult], warmUp: Double = 0, goal: Goal, blockSize: Int, busySeconds: [[Double]]) {
    let results = all.filter { $0.request.arrival >= warmUp }
    let good = results.filter { $0.failure == nil }
    let end = (good.map(\.end).max() ?? warmUp) - warmUp
    let kept = good.filter { $0.meets(firstToken: goal.firstToken, gap: goal.gap) }.count
    let promptTokens = good.reduce(0) { $0 + $1.prompt.count }
    requests = results.count
    successRate = Self.ratio(good.count, results.count)
    goodShare = Self.ratio(kept, results.count)
    goodput = end > 0 ? Double(kept) / end : 0
    tokensPerSecond = end > 0 ? Double(good.reduce(0) { $0 + $1.tokens.count }) / end : 0
    firstToken = Spread(good.map(\.firstTokenSeconds))
    gap = Spread(good.flatMap(\.gaps))
    hitRate = Self.ratio(good.reduce(0) { $0 + $1.cachedTokens }, promptTokens)
    perfectHitRate = PerfectCache.hitRate(of: all, blockSize: blockSize, from: warmUp)
    imbalance = busySeconds.map(Self.imbalance).max() ?? 0
    failures = Array(Set(results.compactMap(\.failure)).sorted().prefix(5))
  }

  /// The largest over the mean; 0 of nothing.
  public static func imbalance(_ values: [Double]) -> Double {
    values.mean > 0 ? (values.max() ?? 0) / values.mean : 0
  }

  private static func ratio(_ part: Int, _ whole: Int) -> Double { whole == 0 ? 0 : Double(part) / Double(whole) }
}
