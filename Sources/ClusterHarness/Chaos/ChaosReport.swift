import LoadHarness

/// What clients saw of a chaos run, and the faults that they saw it under.
public struct ChaosReport: Encodable, Sendable {
  public var configuration: ChaosConfiguration
  /// By kind.
  public var faults: [String: Int]
  /// Seconds without a new fault, at most.
  public var longestQuiet: Double
  public var right: Int
  public var brokenOff: Int
  public var hung: Int
  public var retries: Int
  /// By code.
  public var failures: [String: Int]
  /// The first failure of each code.
  public var failureExamples: [String: String]
  public var wrong: [String]
  public var leaks: [String]
  /// Of right answers, seconds.
  public var latencyMedian: Double
  public var latencyP99: Double
  public var latencyMost: Double
  /// By proxies.
  public var endedConnections: Int
  /// Times that a router reopened a stream elsewhere, those that routers counted before they were killed left out.
  public var movedRequests: Int
  public var bars: [Bar]

  init(
    configuration: ChaosConfiguration, schedule: ChaosSchedule, tallies: [ChaosTally.Counts], leaks: [String],
    endedConnections: Int, movedRequests: Int
  ) {
    self.endedConnections = endedConnections
    self.movedRequests = movedRequests
    self.configuration = configuration
    faults = schedule.events.reduce(into: [:]) { $0[$1.fault.rawValue, default: 0] += 1 }
    let starts = [0] + schedule.events.map(\.at) + [configuration.duration]
    longestQuiet = zip(starts, starts.dropFirst()).map { $1 - $0 }.max() ?? 0
    right = tallies.reduce(0) { $0 + $1.right }
    brokenOff = tallies.reduce(0) { $0 + $1.brokenOff }
    hung = tallies.reduce(0) { $0 + $1.hung }
    retries = tallies.reduce(0) { $0 + $1.retries }
    failures = tallies.reduce(into: [:]) { $0.merge($1.failures) { $0 + $1 } }
    failureExamples = tallies.reduce(into: [:]) { $0.merge($1.failureExamples) { first, _ in first } }
    wrong = tallies.flatMap(\.wrong)
    self.leaks = leaks
    let latencies = tallies.flatMap(\.latencies)
    latencyMedian = latencies.median
    latencyP99 = latencies.quantile(0.99)
    latencyMost = latencies.max() ?? 0
    let wanted = tallies.reduce(0) { $0 + $1.wanted }
    func bar(_ figure: String, _ value: Double, _ direction: Bar.Direction, _ limit: Double, _ unit: String) -> Bar {
      Bar(work: "chaos", figure: figure, ours: value, baseline: nil, direction, bar: limit, unit: unit)
    }
    bars = [
      bar("wrong answers", Double(wrong.count), .atMost, 0, "answers"),
      bar("calls over their deadline", Double(hung), .atMost, 0, "calls"),
      bar("workers that leak", Double(leaks.count), .atMost, 0, "workers"),
      bar("calls that succeed", wanted == 0 ? 0 : 100 * Double(right) / Double(wanted), .atLeast, 99, "%"),
      bar("longest time without a new fault", longestQuiet, .atMost, 10, "s"),
    ]
  }

  /// For people.
  public var lines: [String] {
    let strikes = faults.sorted { $0.key < $1.key }.map { "\($0.value) \($0.key)" }.joined(separator: ", ")
    let ends = failures.sorted { $0.key < $1.key }.map { "\($0.value) \($0.key)" }.joined(separator: ", ")
    var lines = [
      "faults: \(strikes)",
      "calls: \(right) right, \(brokenOff) broken off by the client, \(hung) hung, \(wrong.count) wrong, failed:"
        + " \(ends.isEmpty ? "none" : ends); \(retries) sent again",
      "\(endedConnections) connections ended by proxies, \(movedRequests) streams reopened elsewhere",
      "latency of right answers: median \(FigureText.decimal(latencyMedian, places: 2)) s, p99"
        + " \(FigureText.decimal(latencyP99, places: 2)) s, most \(FigureText.decimal(latencyMost, places: 2)) s",
    ]
    lines += failureExamples.sorted { $0.key < $1.key }.map { "first \($0.key): \($0.value)" }
    lines += wrong.prefix(5).map { "WRONG \($0)" }
    lines += leaks.map { "LEAK \($0)" }
    return lines + bars.map(\.line)
  }
}
