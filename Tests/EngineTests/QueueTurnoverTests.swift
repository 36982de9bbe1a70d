import Engine
import ServingTypes
import Testing

/// When a request that found the queue full is told to come again.
@Suite struct QueueTurnoverTests {
  private let start = ContinuousClock.now

  /// Requests that leave a queue of `queued` at this pace.
  private func turnover(every pace: Duration, queued: Int, count: Int = 100) -> QueueTurnover {
    var turnover = QueueTurnover()
    for index in 0..<count { turnover.leave(at: start + pace * index, queued: queued) }
    return turnover
  }

  @Test func nothingSeenIsAGuess() {
    #expect(QueueTurnover().hint(queued: 100) == .seconds(1))
    #expect(turnover(every: .milliseconds(10), queued: 5, count: 1).hint(queued: 100) == .seconds(1))
  }

  @Test func theHintIsTheTimeOfAnEighthOfTheQueue() {
    #expect(abs(turnover(every: .milliseconds(40), queued: 80).hint(queued: 80) / .milliseconds(400) - 1) < 1e-6)
    // Neither so soon that it only costs, nor so late that nobody comes.
    #expect(turnover(every: .microseconds(10), queued: 80).hint(queued: 80) == .milliseconds(100))
    #expect(turnover(every: .seconds(60), queued: 80).hint(queued: 80) == .seconds(30))
  }

  /// A pause before a request that found the queue empty says nothing of how fast it gets shorter.
  @Test func whoeverWaitedForNobodyDoesNotCount() {
    var turnover = turnover(every: .milliseconds(40), queued: 80)
    let before = turnover.hint(queued: 80)
    turnover.leave(at: start + .seconds(4), queued: 1)
    let last = turnover.hint(queued: 80)
    for index in 1...50 {
      turnover.leave(at: start + .seconds(600) * index, queued: 1)
      #expect(turnover.hint(queued: 80) == last)
    }
    #expect(abs(last / before - 1) < 0.2)
  }

  @Test func itFollowsAChangeOfPace() {
    var turnover = turnover(every: .milliseconds(10), queued: 80)
    for index in 0..<100 { turnover.leave(at: start + .seconds(10) + .milliseconds(200) * index, queued: 80) }
    #expect(abs(turnover.hint(queued: 80) / .seconds(2) - 1) < 0.01)
  }
}
