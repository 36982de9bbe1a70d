import ServingTypes

/// What came of a chaos run's calls. Any task may count.
final class ChaosTally: Sendable {
  struct Counts: Sendable {
    var right = 0
    var brokenOff = 0
    var hung = 0
    var retries = 0
    /// Of right answers, seconds.
    var latencies: [Double] = []
    /// By code.
    var failures: [String: Int] = [:]
    /// The first of each.
    var failureExamples: [String: String] = [:]
    var wrong: [String] = []

    var failed: Int { failures.values.reduce(0, +) }
    /// Calls that their client wanted to the end.
    var wanted: Int { right + failed + hung + wrong.count }
    var successShare: Double { wanted == 0 ? 0 : Double(right) / Double(wanted) }
  }

  private let state = Lock(Counts())

  var counts: Counts { state.withLock { $0 } }

  func count(_ outcome: ChaosOutcome, call: String, seconds: Double, retries: Int) {
    state.withLock { counts in
      counts.retries += retries
      switch outcome {
      case .right:
        counts.right += 1
        counts.latencies.append(seconds)
      case .brokenOff: counts.brokenOff += 1
      case .hung: counts.hung += 1
      case .failed(let error):
        counts.failures[error.code.rawValue, default: 0] += 1
        if counts.failureExamples[error.code.rawValue] == nil {
          counts.failureExamples[error.code.rawValue] = "\(call): \(error.message)"
        }
      case .wrong(let what): counts.wrong.append("\(call): \(what)")
      }
    }
  }
}
