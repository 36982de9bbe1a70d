import GRPCCore
import GRPCTransport
import ServingTypes
import Testing

/// Against the reference implementation, as client and as server.
@Suite(
  .enabled(if: PythonPeer.isPresent, "needs the Python of scripts/python-env, or BATON_TEST_PYTHON"),
  .timeLimit(.minutes(5)), .serialized)
struct PeerTests {
  @Test func theReferenceClientFindsOurServerConforming() async throws {
    try await withServer { server, _ in
      let (lines, status) = try await PythonPeer.run("check", server.address)
      for line in lines where !line.hasPrefix("ok ") { Issue.record("\(line)") }
      #expect(lines.count == 12)
      #expect(status == 0)
    }
  }

  @Test func ourClientFindsTheReferenceServerConforming() async throws {
    try await PythonPeer.withServer { address in
      try await withClient(to: address) { client in
        try await checkMessages(client)
        try await checkMetadataAndStatuses(client)
        try await checkDeadlinesAndCancellation(client)
        try await checkThousandStreams(client)
      }
    }
  }

  private func checkMessages(_ client: TestClient) async throws {
    for message in [[], [UInt8]("hello"), .pattern(100_000, seed: 1), .pattern(8 << 20, seed: 2)] {
      let echo = try await client.callUnary(message).message
      #expect(echo == message)
    }
    let down = try await client.callDown(count: 5, size: 1000)
    #expect(down == (0..<5).map { .pattern(1000, seed: $0) })
    let large = try await client.callDown(count: 3, size: 8 << 20)
    #expect(large.map(\.count) == [8 << 20, 8 << 20, 8 << 20])
    let tooLarge = await status { _ = try await client.callDown(count: 1, size: (16 << 20) + 1) }
    #expect(tooLarge?.code == .resourceExhausted)
    let up = try await client.callUp((0..<7).map { .pattern(100, seed: $0) })
    #expect(up == .init(words: [7, 700]))
    let none = try await client.callUp([])
    #expect(none == .init(words: [0, 0]))
    let messages = (0..<20).map { [UInt8].pattern(10 * $0, seed: $0) }
    let echoes = try await client.callBoth(messages)
    #expect(echoes == messages)
    let late = await status { _ = try await client.callDown(count: 3, size: 10, code: 15) }
    #expect(late?.code == .dataLoss)
  }

  private func checkMetadataAndStatuses(_ client: TestClient) async throws {
    var metadata: Metadata = ["x-initial": "first", "x-trailing": "last"]
    metadata.addString("second", forKey: "x-initial")
    metadata.addBinary([0, 1, 255, 10], forKey: "x-initial-bin")
    metadata.addBinary([7, 0, 7], forKey: "x-trailing-bin")
    let reply = try await client.callUnary([1], metadata: metadata)
    #expect(Array(reply.metadata[stringValues: "x-initial"]) == ["first", "second"])
    #expect(reply.metadata.bytes("x-initial-bin") == [[0, 1, 255, 10]])
    #expect(reply.trailing.first("x-trailing") == "last")
    #expect(reply.trailing.bytes("x-trailing-bin") == [[7, 0, 7]])
    for code in 1...16 {
      metadata.replaceOrAddString("\(code)", forKey: "x-status")
      metadata.replaceOrAddString("reason 100% %41", forKey: "x-message")
      let error = await status { _ = try await client.callUnary([1], metadata: metadata) }
      #expect(error?.code.rawValue == code)
      #expect(error?.message == "reason 100% %41")
      #expect(error?.metadata.bytes("x-trailing-bin") == [[7, 0, 7]])
    }
    let nowhere = await status {
      _ = try await client.callUnary([], method: ConformanceService.method("Nowhere", .unary))
    }
    #expect(nowhere?.code == .unimplemented)
  }

  private func checkDeadlinesAndCancellation(_ client: TestClient) async throws {
    let left = try await client.callUnary([], method: ConformanceService.deadline, options: .timeout(.seconds(60)))
    #expect((30_000..<70_000).contains(left.message.word(0)))
    let unlimited = try await client.callUnary([], method: ConformanceService.deadline)
    #expect(unlimited.message.word(0) == .max)
    let passed = await status { try await client.hang(options: .timeout(.milliseconds(300))) }
    #expect(passed?.code == .deadlineExceeded)
    let first = try await eventually {
      try await client.callUnary([], method: ConformanceService.cancelled).message.word(0) == 1
    }
    #expect(first)
    try await withThrowingTaskGroup(of: Void.self) { group async throws -> Void in
      let (heads, head) = AsyncStream<Never>.makeStream()
      group.addTask { _ = await status { try await client.hang(onHead: { head.finish() }) } }
      for await _ in heads {}
      group.cancelAll()
    }
    let second = try await eventually {
      try await client.callUnary([], method: ConformanceService.cancelled).message.word(0) == 2
    }
    #expect(second)
  }

  private func checkThousandStreams(_ client: TestClient) async throws {
    try await withThrowingTaskGroup(of: Bool.self) { group in
      for index in 0..<1000 {
        group.addTask {
          let messages = (0..<3).map { [UInt8].pattern(64, seed: index * 3 + $0) }
          return try await client.callBoth(messages) == messages
        }
      }
      for try await same in group { #expect(same) }
    }
  }
}
