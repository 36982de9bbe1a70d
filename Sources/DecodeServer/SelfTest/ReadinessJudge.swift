import ServingTypes

/// Decides from self-tests, and from clients' requests that succeed, whether a worker is ready, and when to test again. Pure.
package struct ReadinessJudge: Sendable {
  /// What came of a self-test.
  package enum Outcome: Hashable, Sendable {
    case passed
    /// The worker had no room for it, or got on with other work meanwhile: that says nothing against it.
    case inconclusive
    case failed(String)
  }

  private let configuration: SelfTestConfiguration
  private var finishedRequests: UInt64 = 0
  /// In a row: a machine that stands still for a moment fails one test of each of its workers.
  private var failures = 0
  private var nextTest: ContinuousClock.Instant?
  /// Why the worker is not ready; nil while it is.
  package private(set) var reason: String? = "no self-test has passed yet"

  package init(configuration: SelfTestConfiguration) { self.configuration = configuration }

  /// - Parameter finishedRequests: of clients and self-tests alike, since the start.
  /// - Returns: whether a test is due.
  package mutating func isDue(finishedRequests count: UInt64, now: ContinuousClock.Instant) -> Bool {
    let hasServed = count > finishedRequests
    finishedRequests = count
    // A client's answer proves as much, but for a worker that has just failed.
    if hasServed, reason == nil, failures == 0 { nextTest = now + configuration.interval }
    return nextTest.map { $0 <= now } ?? true
  }

  /// - Parameter finishedRequests: once the test was over.
  package mutating func record(_ outcome: Outcome, finishedRequests count: UInt64, now: ContinuousClock.Instant) {
    finishedRequests = count
    switch outcome {
    case .passed: (reason, failures) = (nil, 0)
    case .inconclusive: break
    case .failed(let why):
      failures += 1
      if reason != nil || failures > 1 { reason = why }
    }
    nextTest = now + (reason == nil && failures == 0 ? configuration.interval : configuration.retryInterval)
  }
}
