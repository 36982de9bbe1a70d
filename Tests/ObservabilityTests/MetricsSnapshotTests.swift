import Observability
import ServingTypes
import Testing

@Suite struct MetricsSnapshotTests {
  @Test func readsWhatTheRegistryWrites() throws {
    let registry = MetricsRegistry()
    registry.counter("requests", help: "a\\b\nc", labels: [("path", "C:\\\"q\"\n{},é")]).increment(by: 3)
    registry.counter("requests", help: "", labels: [("path", "/")]).increment(by: 4)
    registry.gauge("share", help: "").set(1.5e-7)
    registry.gauge("low", help: "").set(-.infinity)
    registry.histogram("wait_seconds", help: "", buckets: [0.5, 1]).observe(0.7)
    let snapshot = try MetricsSnapshot(parsing: registry.exposition())
    #expect(snapshot.isBaton)
    #expect(snapshot.value("baton_requests_total") == 7)
    #expect(snapshot.value("baton_requests_total", where: ["path": "C:\\\"q\"\n{},é"]) == 3)
    #expect(snapshot.value("baton_requests_total", where: ["path": "?"]) == nil)
    #expect(snapshot.value("baton_requests_total", where: ["status": "200"]) == nil)
    #expect(snapshot.value("baton_share") == 1.5e-7)
    #expect(snapshot.value("baton_low") == -.infinity)
    #expect(snapshot.value("baton_wait_seconds_bucket", where: ["le": "1"]) == 1)
    #expect(snapshot.value("baton_wait_seconds_bucket", where: ["le": "+Inf"]) == 1)
    #expect(snapshot.value("baton_absent") == nil)
  }

  @Test(
    arguments: [
      ("x 1\r", 1), ("\tx\t1 1700000000000", 1), ("x{} 2", 2), ("x{a=\"b\",} 3", 3), ("x { a=\"b\" } 4", nil),
      ("x{ a=\"b\" , c=\"}\" } 4", 4), ("x NaN", .nan), ("x +Inf", .infinity),
    ] as [(String, Double?)])
  func readsOtherWritersToo(line: String, expected: Double?) throws {
    guard let expected else {
      #expect(throws: ServingError.self) { try MetricsSnapshot(parsing: line) }
      return
    }
    let value = try #require(try MetricsSnapshot(parsing: "# a comment\n\n\(line)\n").value("x"))
    #expect(expected.isNaN ? value.isNaN : value == expected)
  }

  @Test(arguments: [
    "<html>", "x", "x y", "x{", "x{a}", "x{a=1} 1", "x{a=\"b} 1", "x{a=\"b\"", "x{a=\"b\" c=\"d\"} 1", "x{a=\"\\",
    "{} 1",
    "x 1 2 3", "x 1 y",
  ])
  func aBadLineIsNamed(line: String) {
    let error = #expect(throws: ServingError.self) { try MetricsSnapshot(parsing: "a 1\n\(line)\n") }
    #expect(error?.message.hasPrefix("line 2 is no metric") == true)
  }

  @Test func somebodyElseIsNoBaton() throws {
    #expect(try !MetricsSnapshot(parsing: "go_goroutines 5\n").isBaton)
    #expect(try !MetricsSnapshot(parsing: "").isBaton)
  }
}
