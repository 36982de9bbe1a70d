import Foundation
import ServingTypes

/// Clients that go on calling routers and compare every answer with the right one.
struct ChaosLoad: Sendable {
  struct Configuration: Codable, Hashable, Sendable {
    /// Clients with one call at a time.
    var clients: Int
    /// Seconds between an answer and the client's next call, at most.
    var pause: Double
    /// Share of the calls that the client breaks off in their middle.
    var breakOffs: Double = 0.05
    /// Seconds that a call may take.
    var timeout: Double = 45
    /// Seconds over that before a call counts as hung.
    var slack: Double = 5
    /// Times that a call which failed before its first text is sent again, as OpenAI's clients do by default.
    var retries = 2
  }

  let configuration: Configuration
  let calls: [ChaosCall]
  /// The right answers, one for each call.
  let answers: [ChaosAnswer]
  /// Routers that can stand in for one another.
  let routers: [ChaosClient.Transport]
  let tally: ChaosTally

  /// Calls until the instant; calls begun before go on to their end.
  func run(until end: ContinuousClock.Instant, seed: UInt64) async {
    await withTaskGroup(of: Void.self) { group in
      for client in 0..<configuration.clients {
        group.addTask { await self.act(until: end, seed: seed &+ UInt64(client) &* 0x9E37_79B9) }
      }
    }
  }

  private func act(until end: ContinuousClock.Instant, seed: UInt64) async {
    var random = SplitMix64(seed: seed)
    while ContinuousClock.now < end, !Task.isCancelled {
      let index = Int(random.next() % UInt64(calls.count))
      let router = Int(random.next() % UInt64(routers.count))
      let breaksOff = Double(random.next() >> 11) / Double(1 << 53) < configuration.breakOffs
      let limit = breaksOff ? Int(random.next() % 100) : Int.max
      let start = ContinuousClock.now
      let (outcome, retries) = await make(index, firstRouter: router, textLimit: limit)
      tally.count(
        outcome, call: "\(calls[index].model) #\(index)", seconds: (.now - start) / .seconds(1), retries: retries)
      try? await Task.sleep(
        for: .seconds(configuration.pause * Double(random.next() >> 11) / Double(1 << 53)))
    }
  }

  private func make(_ index: Int, firstRouter: Int, textLimit: Int) async -> (ChaosOutcome, retries: Int) {
    var retries = 0
    let deadline = ContinuousClock.now + .seconds(configuration.timeout)
    while true {
      let client = ChaosClient(
        transport: routers[(firstRouter + retries) % routers.count], timeout: deadline - .now)
      let (outcome, hasText) = await attempt(index, client, textLimit: textLimit, deadline: deadline)
      guard case .failed(let error) = outcome, !hasText, retries < configuration.retries,
        error.code == .unavailable || error.code == .resourceExhausted, ContinuousClock.now < deadline
      else { return (outcome, retries) }
      retries += 1
      try? await Task.sleep(for: .milliseconds(500 << (retries - 1)))
    }
  }

  private func attempt(
    _ index: Int, _ client: ChaosClient, textLimit: Int, deadline: ContinuousClock.Instant
  ) async -> (ChaosOutcome, hasText: Bool) {
    let (call, right) = (calls[index], answers[index])
    let last = Lock(ChaosAnswer(samples: call.sampling.n))
    let isBrokenOff = Lock(false)
    let outcome = await withTaskGroup(of: ChaosOutcome.self) { group in
      group.addTask {
        do {
          try await client.send(call) { answer in
            last.withLock { $0 = answer }
            let isTooLong = answer.samples.map(\.text.count).max() ?? 0 > textLimit
            if isTooLong { isBrokenOff.withLock { $0 = true } }
            return !isTooLong
          }
          let answer = last.withLock { $0 }
          if answer.isComplete { return .right }
          return isBrokenOff.withLock { $0 } ? .brokenOff : .wrong("a good end before its samples had ended")
        } catch {
          return .failed(ServingError(any: error))
        }
      }
      group.addTask { [configuration] in
        try? await Task.sleep(until: deadline + .seconds(configuration.slack))
        return .hung
      }
      let first = await group.next() ?? .hung
      group.cancelAll()
      return first
    }
    let answer = last.withLock { $0 }
    guard answer.begins(right) else { return (.wrong("\(answer) where this is right: \(right)"), answer.hasText) }
    return (outcome, answer.hasText)
  }
}
