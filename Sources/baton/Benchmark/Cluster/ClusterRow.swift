import LoadHarness
import Routing

/// One policy with one number of workers.
struct ClusterRow: Encodable {
  var policy: String
  var workers: WorkerCounts
  var figures: ClusterFigures
  /// Microseconds of the routers' processor time for each token.
  var routerMicrosecondsPerToken: Double
  /// Of the largest worker.
  var workerMegabytes: Double
  /// Processor time of all processes, this one included, over the time of the run.
  var processors: Double
  /// The router's own part of the choice, in microseconds: the mean, and at most so long in 99 of 100 cases.
  var decisionMicroseconds: Double
  var decisionP99Microseconds: Double
  /// Milliseconds of the parts of the time to the first token, medians over the counted requests.
  var parts: [String: Double]

  static let header = [
    "policy", "workers", "ok", "TTFT p50", "p90", "p99 ms", "ITL p50", "p90", "p99 ms", "hit rate", "of perfect",
    "imbalance",
    "goodput/s", "good", "tokens/s",
  ]

  var cells: [String] {
    func milliseconds(_ seconds: Double) -> String { FigureText.decimal(seconds * 1000, places: 1) }
    let share = figures.perfectHitRate > 0 ? figures.hitRate / figures.perfectHitRate : 0
    return [
      policy, "\(workers)", TextTable.percent(figures.successRate), milliseconds(figures.firstToken.p50),
      milliseconds(figures.firstToken.p90), milliseconds(figures.firstToken.p99), milliseconds(figures.gap.p50),
      milliseconds(figures.gap.p90), milliseconds(figures.gap.p99), TextTable.percent(figures.hitRate),
      TextTable.percent(share), FigureText.decimal(figures.imbalance, places: 2),
      FigureText.decimal(figures.goodput, places: 1), TextTable.percent(figures.goodShare),
      FigureText.decimal(figures.tokensPerSecond, places: 0),
    ]
  }
}
