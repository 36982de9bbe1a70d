import Foundation
import Routing
import ServingTypes
import Testing

/// What a client that is slow, stuck or broken does to its request.
@Suite struct DeliveryTests {
  private struct Broken: Error, Equatable {}

  @Test func aClientThatCannotTakeAnUpdateEndsTheRequest() async throws {
    let worker = try ScriptedWorker("a")
    try await RouterHarness.with([worker]) { harness in
      let updates = Lock(0)
      await #expect(throws: Broken()) {
        try await harness.router.generate(harness.request(maxTokens: 2000)) { _, _ in
          let count = updates.withLock { updates in
            updates += 1
            return updates
          }
          if count == 3 { throw Broken() }
        }
      }
      #expect(updates.withLock { $0 } == 3 && worker.requests.count == 1)
      #expect(harness.router.inFlight == 0)
      await eventually("the worker was not cancelled") { worker.state.withLock { $0.active == 0 } }
    }
  }

  /// The worker has sent the whole answer, but the client not taken it: that must not look like its end.
  @Test(arguments: [1, 6, 12])
  func aDeliveryThatIsBrokenOffIsNotTakenForTheWhole(_ stuck: Int) async throws {
    let worker = try ScriptedWorker("a")
    try await RouterHarness.with([worker], configuration: .testing { $0.streamStallTimeout = .milliseconds(400) }) {
      harness in
      var request = harness.request(maxTokens: 12)
      request.deadline = .now + .milliseconds(700)
      let (asked, tokens, summaries) = (request, Lock(0), Lock(0))
      let error = await #expect(throws: ServingError.self) {
        try await harness.router.generate(asked) { update, _ in
          let count = tokens.withLock { tokens in
            tokens += update.outputs.reduce(0) { $0 + $1.tokens.count }
            return tokens
          }
          if update.usage != nil { summaries.withLock { $0 += 1 } }
          if count >= stuck, update.usage == nil { try await Task.sleep(for: .seconds(600)) }
        }
      }
      #expect(error?.code == .deadlineExceeded)
      #expect(summaries.withLock { $0 } == 0 && harness.router.inFlight == 0)
    }
  }

  @Test func aSequenceThatIsNotReadInTimeDoesNotEndWell() async throws {
    let worker = try ScriptedWorker("a")
    let configuration = RoutingConfiguration.testing {
      $0.streamStallTimeout = .milliseconds(400)
      $0.updateBacklog = 1
    }
    try await RouterHarness.with([worker], configuration: configuration) { harness in
      var request = harness.request(maxTokens: 2)
      request.deadline = .now + .milliseconds(500)
      let generation = try await harness.router.generate(request)
      await eventually("the request goes on") { harness.router.inFlight == 0 }
      let error = await #expect(throws: ServingError.self) { for try await _ in generation.updates {} }
      #expect(error?.code == .deadlineExceeded)
    }
  }

  /// Also while it waits for a client that does not read.
  @Test(arguments: [false, true]) func aDrainGivesUpWhatIsDelivered(isStuck: Bool) async throws {
    let worker = try ScriptedWorker("a", script: [.hang(after: 2)])
    try await RouterHarness.with([worker]) { harness in
      await withTaskGroup(of: Void.self) { group in
        group.addTask {
          let error = await #expect(throws: ServingError.self) {
            try await harness.router.generate(harness.request()) { _, _ in
              if isStuck { try await Task.sleep(for: .seconds(600)) }
            }
          }
          #expect(error?.code == .unavailable && error?.retryAfter != nil)
        }
        await eventually("no tokens") { worker.state.withLock { $0.sent > (isStuck ? 0 : 1) } }
        await harness.router.drain(timeout: .milliseconds(50))
        #expect(harness.router.inFlight == 0)
      }
      #expect(harness.metrics.exposition().contains("baton_router_requests_total{status=\"unavailable\"} 1"))
      let late = await #expect(throws: ServingError.self) {
        try await harness.router.generate(harness.request()) { _, _ in }
      }
      #expect(late?.code == .unavailable)
    }
  }

  /// A client that leaves while a router drains was not given up by it.
  @Test func aClientThatLeavesADrainIsCancelled() async throws {
    let worker = try ScriptedWorker("a", script: [.hang(after: 2)])
    try await RouterHarness.with([worker]) { harness in
      await withTaskGroup(of: Void.self) { group in
        group.addTask { try? await harness.router.generate(harness.request()) { _, _ in } }
        await eventually("no tokens") { worker.state.withLock { $0.sent == 2 } }
        harness.router.beginDraining()
        group.cancelAll()
      }
      #expect(harness.metrics.exposition().contains("baton_router_requests_total{status=\"cancelled\"} 1"))
    }
  }
}
