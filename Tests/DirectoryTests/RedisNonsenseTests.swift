import Directory
import Foundation
import ServingTypes
import Testing

/// A server that answers with nonsense, too much, too slowly or not at all costs hits, and neither memory nor time.
struct RedisNonsenseTests {
  typealias Log = RedisDirectoryTests.Log

  static var configuration: RedisConfiguration {
    RedisConfiguration(
      connectTimeout: .milliseconds(500), commandTimeout: .milliseconds(200), lookupTimeout: .seconds(30),
      maximumReplyBytes: 1 << 20, minimumBackoff: .milliseconds(10), maximumBackoff: .milliseconds(100))
  }

  func directory(_ server: FakeRedis, _ log: Log = Log()) throws -> RedisDirectory {
    try RedisDirectory(
      address: RedisAddress("unix://\(server.socket)"), configuration: Self.configuration,
      onChange: { log.append($0) })
  }

  struct Case: Sendable, CustomTestStringConvertible {
    var name: String
    var answer: FakeRedis.Answer
    var failure: DirectoryFailure
    var testDescription: String { name }
  }

  static let cases = [
    Case(name: "garbage", answer: .text("HTTP/1.1 400 Bad Request\r\n\r\n"), failure: .malformed),
    Case(
      name: "an endless text", answer: .flood(first: "$900000000\r\n", then: String(repeating: "x", count: 65_536)),
      failure: .malformed),
    Case(name: "a huge list", answer: .text("*2000000000\r\n"), failure: .malformed),
    Case(
      name: "an endless list",
      answer: .flood(first: "*100000\r\n", then: String(repeating: "$9\r\nxxxxxxxxx\r\n", count: 4096)),
      failure: .malformed),
    Case(name: "lists in lists", answer: .text(String(repeating: "*1\r\n", count: 100)), failure: .malformed),
    Case(name: "a wrong size", answer: .text("$x\r\n"), failure: .malformed),
    Case(name: "silence", answer: .silence, failure: .timeout),
    Case(name: "drops", answer: .drip("$900000\r\n"), failure: .timeout),
    Case(name: "a hang-up", answer: .hangUp, failure: .connection),
  ]

  @Test(arguments: cases)
  func eachKindIsCountedAndToldOnce(_ subject: Case) async throws {
    let server = try FakeRedis { FakeRedis.greetings($0) ?? subject.answer }
    let log = Log()
    let directory = try directory(server, log)
    let end = ContinuousClock.now + .milliseconds(600)
    while ContinuousClock.now < end {
      await #expect(throws: ServingError.self) { _ = try await directory.workers() }
      try await Task.sleep(for: .milliseconds(1))
    }
    #expect(directory.statistics.failures[subject.failure, default: 0] > 0, "\(directory.statistics.failures)")
    #expect(server.connections < 60, "it is not asked without a pause")
    // A server that greets well before it misbehaves is connected for a moment, and then failing.
    #expect(log.kinds.contains("disconnected") && Set(log.kinds).count == log.kinds.count, "\(log.kinds)")
    directory.close()
  }

  @Test(arguments: [
    ":1\r\n", "$-1\r\n", "+OK\r\n", "*0\r\n", "*2\r\n:1\r\n:1\r\n", "*5\r\n:0\r\n:0\r\n:-1\r\n:0\r\n:0\r\n",
  ])
  func repliesOfAWrongShapeAreNoAnswers(_ reply: String) async throws {
    let server = try FakeRedis { FakeRedis.greetings($0) ?? .text(reply) }
    let log = Log()
    let directory = try directory(server, log)
    for _ in 0..<5 {
      let error = await #expect(throws: ServingError.self) { _ = try await directory.depths(chain(3), [("a", 1, 0)]) }
      #expect(error?.code == .dataLoss)
    }
    #expect(directory.statistics.failures == [.malformed: 5])
    #expect(log.kinds == ["failing"])
  }

  @Test func moreBlocksThanWereAskedForAreNotBelieved() async throws {
    let server = try FakeRedis { FakeRedis.greetings($0) ?? .text("*5\r\n:0\r\n:0\r\n:900\r\n:800\r\n:700\r\n") }
    let directory = try directory(server)
    let found = try await directory.longestPrefixes(query(chain(3), [("a", 1, 0)]))
    #expect(found[WorkerID("a")]?.blocks == 3)
  }

  @Test func aServerThatNeverGreetsIsLeft() async throws {
    let server = try FakeRedis { _ in .silence }
    let log = Log()
    let directory = try directory(server, log)
    await #expect(throws: ServingError.self) { _ = try await directory.workers() }
    await eventually("not told") { log.kinds == ["disconnected"] }
    #expect(directory.statistics.failures[.timeout] == 1)
    directory.close()
  }

  @Test func redirectionsWithoutEndAreLeft() async throws {
    let server = try FakeRedis { command in
      if let greeting = FakeRedis.greetings(command) { return greeting }
      return .text("-MOVED 1 :1\r\n")
    }
    let directory = try directory(server)
    for _ in 0..<3 { await #expect(throws: ServingError.self) { _ = try await directory.workers() } }
    #expect(directory.statistics.failures == [.moved: 3])
  }

  @Test(arguments: ["MOVED", "MOVED x host:1", "ASK 99999 host:1", "MOVED 1 host"])
  func aRedirectionToNowhereIsNonsense(_ reply: String) async throws {
    let server = try FakeRedis { command in
      if let greeting = FakeRedis.greetings(command) { return greeting }
      return .text("-\(reply)\r\n")
    }
    let directory = try directory(server)
    let error = await #expect(throws: ServingError.self) { _ = try await directory.workers() }
    #expect(error?.message.contains("redis-cluster") == false)
    #expect(directory.statistics.failures == [.malformed: 1])
  }
}
