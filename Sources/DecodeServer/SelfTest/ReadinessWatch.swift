import Engine
import Logging
import Observability
import PrefillServer
import RPC
import ServingTypes

/// Keeps a worker's readiness true: tests it at the start, from time to time while no client does, and until it works again
/// after it did not.
struct ReadinessWatch: Sendable {
  /// How often it is looked whether a test is due.
  private static let tick = Duration.milliseconds(500)
  /// Tokens computed during a test that did not end, from which on the engine is busy rather than broken.
  private static let busyTokens: UInt64 = 16

  let configuration: SelfTestConfiguration
  let test: SelfTest
  let engine: EngineCore
  let metrics: MetricsRegistry
  let logger: Logger
  /// Called with each change: nil when the worker became ready, else why it is not.
  let onChange: @Sendable (String?) -> Void

  /// Tests until the task is cancelled or `isOver`.
  func run(until isOver: @Sendable () -> Bool) async throws {
    var judge = ReadinessJudge(configuration: configuration)
    var reported = judge.reason
    while !isOver() {
      if judge.isDue(finishedRequests: engine.statistics.requestsFinished, now: .now) {
        let outcome = await runTest()
        try Task.checkCancellation()
        if isOver() { return }
        judge.record(outcome, finishedRequests: engine.statistics.requestsFinished, now: .now)
        count(outcome)
        if judge.reason != reported {
          reported = judge.reason
          report(judge.reason)
        }
      }
      try await Task.sleep(for: min(Self.tick, configuration.retryInterval))
    }
  }

  private func runTest() async -> ReadinessJudge.Outcome {
    let before = engine.statistics.batchedTokens
    do {
      try await test.run(deadline: .now + configuration.timeout)
      return .passed
    } catch {
      let error = ServingError(any: error)
      let progress = engine.statistics.batchedTokens - before
      if error.code == .resourceExhausted || error.code == .deadlineExceeded && progress >= Self.busyTokens {
        return .inconclusive
      }
      return .failed("the self-test failed: \(error)")
    }
  }

  private func count(_ outcome: ReadinessJudge.Outcome) {
    let label =
      switch outcome {
      case .passed: "passed"
      case .inconclusive: "inconclusive"
      case .failed: "failed"
      }
    metrics.counter(
      "self_tests", help: "Requests that the worker sent to itself, by outcome.", labels: [("outcome", label)]
    ).increment()
  }

  private func report(_ reason: String?) {
    if let reason {
      logger.error("not ready", metadata: ["reason": "\(reason)"])
    } else {
      logger.info("self-test passed")
    }
    onChange(reason)
  }
}
