import DecodeServer
import Engine
import GRPCCore
import KVTransfer
import RPC
import ServingProtos
import ServingTestKit
import ServingTypes
import Testing

/// Many requests, cut connections, cancelled and slow clients: right tokens, and nothing left behind.
@Suite struct WorkerLoadTests {
  @Test func fiftyAtOnceWithSharedPrefixes() async throws {
    let requests = (0..<50).map { index in
      decodeRequest(prompt(64 * (1 + index % 3)) + prompt(10 + index, seed: index), maxTokens: 16)
    }
    var expected: [[[TokenID]]] = []
    for request in requests { expected.append(try await alone(request)) }
    try await withWorkers([.prefill, .prefill, .decode, .decode]) { [expected] workers, channels in
      try await withThrowingTaskGroup(of: Void.self) { group in
        for (index, request) in requests.enumerated() {
          group.addTask {
            var request = request
            request.prefillCandidates = [workers[index % 2].reference, workers[1 - index % 2].reference]
            let answer = try await ask(workers[2 + index / 2 % 2], request, channels)
            #expect(answer.tokens == expected[index], "request \(index)")
          }
        }
        try await group.waitForAll()
      }
    }
  }

  @Test(arguments: 0..<4)
  func cancelledClientsLeaveNothing(seed: Int) async throws {
    var slow = WorkerOptions.prefill
    slow.cost = SimulatedExecutor.Cost(step: .milliseconds(2))
    var decode = WorkerOptions.decode
    decode.cost = SimulatedExecutor.Cost(step: .milliseconds(1))
    try await withWorkers([slow, decode]) { workers, channels in
      await withTaskGroup(of: Void.self) { group in
        for index in 0..<20 {
          group.addTask {
            let request = decodeRequest(
              prompt(200 + index, seed: index % 4), maxTokens: 200, n: 1 + index % 2, prefill: [workers[0].reference])
            await withTaskGroup(of: Void.self) { call in
              call.addTask { _ = try? await ask(workers[1], request, channels) }
              // Moments that hit the queue, the transfer and the decoding alike.
              call.addTask { try? await Task.sleep(for: .milliseconds((index * 7 + seed * 3) % 60)) }
              await call.next()
              call.cancelAll()
            }
          }
        }
      }
      // The workers answer as before.
      let request = decodeRequest(prompt(300, seed: 9), prefill: [workers[0].reference])
      let expected = try await alone(request)
      let answer = try await ask(workers[1], request, channels)
      #expect(answer.tokens == expected)
    }
  }

  @Test(arguments: [1, 200, 600, 900, 1200, 1500, 2500, 4000])
  func aCutConnectionCostsTimeOnly(bytes: Int) async throws {
    let request = decodeRequest(prompt(150))
    let expected = try await alone(request)
    try await withWorkers([.prefill, .decode]) { workers, channels in
      let target = try ServerAddress(workers[0].server.boundAddress).port ?? 0
      let proxy = try CuttingProxy(to: target, cuttingAfter: bytes)
      var reference = workers[0].reference
      reference.address = "127.0.0.1:\(proxy.port)"
      var request = request
      request.prefillCandidates = [reference]
      let answer = try await ask(workers[1], request, channels)
      #expect(answer.tokens == expected)
      withExtendedLifetime(proxy) {}
    }
  }

  @Test func aDeadlineFreesBothSides() async throws {
    var slow = WorkerOptions.prefill
    slow.cost = SimulatedExecutor.Cost(step: .milliseconds(30))
    try await withWorkers([slow, .decode]) { workers, channels in
      var options = CallOptions.defaults
      options.timeout = .milliseconds(150)
      do {
        _ = try await ask(
          workers[1], decodeRequest(prompt(1000), prefill: [workers[0].reference]), channels, options: options)
        Issue.record("answered")
      } catch let error as RPCError {
        #expect(error.code == .deadlineExceeded)
      }
    }
  }

  @Test func aReceiverWithoutCreditGetsNothing() async throws {
    try await withWorkers([.prefill]) { workers, channels in
      let received = Lock(0)
      try await RawPrefill.run(workers[0], channels, prefillOpen(prompt(160), workers[0])) { message, say in
        switch message {
        case .queued: break
        case .start(let blocks, _):
          #expect(blocks == 10)
          say.credit(2)
        case .block(let block):
          let count = received.withLock { count in
            count += 1
            return count
          }
          #expect(block.frame.index == count - 1)
          // The engine is done long before; only credit holds the rest back.
          for _ in 0..<2000 where workers[0].engine.statistics.runningSequences > 0 {
            try await Task.sleep(for: .milliseconds(5))
          }
          if count % 2 == 0, count < 10 { say.credit(2) }
        case .end: #expect(received.withLock { $0 } == 10)
        }
        return true
      }
    }
  }

  @Test func aReceiverThatStallsIsGivenUpAndItsBlocksComeBack() async throws {
    var options = WorkerOptions.prefill
    options.sendStallTimeout = .milliseconds(300)
    try await withWorkers([options]) { workers, channels in
      do {
        try await RawPrefill.run(workers[0], channels, prefillOpen(prompt(160), workers[0])) { _, _ in true }
        Issue.record("the hand-off ended without credit")
      } catch let error as RPCError {
        #expect(error.code == .deadlineExceeded, "\(error)")
      }
    }
  }

  @Test(arguments: ["credit", "ack", "open", "close"])
  func aReceiverThatBreaksTheProtocolIsRefused(what: String) async throws {
    try await withWorkers([.prefill]) { workers, channels in
      let open = prefillOpen(prompt(160), workers[0])
      do {
        try await RawPrefill.run(workers[0], channels, open) { message, say in
          guard case .start = message else { return true }
          switch what {
          case "credit": say.credit(11)
          case "ack": say.ack(1)
          case "open": say.yield(.with { $0.open = open })
          default: say.finish()
          }
          return true
        }
        Issue.record("accepted")
      } catch let error as RPCError {
        #expect(error.code == (what == "close" ? .cancelled : .invalidArgument), "\(error)")
      }
    }
  }
}
