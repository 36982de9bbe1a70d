import Observability
import Testing

@Suite struct TraceContextTests {
  static let header = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"

  @Test func readsAndWritesTheHeader() throws {
    let context = try #require(TraceContext(traceparent: Self.header))
    #expect(context.traceID == "4bf92f3577b34da6a3ce929d0e0e4736")
    #expect(context.spanID == 0x00f0_67aa_0ba9_02b7)
    #expect(context.isSampled)
    #expect(context.traceparent == Self.header)
  }

  @Test func aChildKeepsTheTrace() throws {
    let context = try #require(TraceContext(traceparent: Self.header))
    let child = context.child()
    #expect(child.traceID == context.traceID)
    #expect(child.spanID != context.spanID)
    #expect(child.isSampled)
  }

  @Test func acceptsALaterVersionWithMoreFields() {
    #expect(TraceContext(traceparent: "cc" + Self.header.dropFirst(2) + "-more") != nil)
  }

  @Test(arguments: [
    "", "00", "ff" + header.dropFirst(2), header + "-more", header.uppercased(), String(header.dropLast()),
    "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
    "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
    "00_4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    "cc" + header.dropFirst(2) + "more",
  ])
  func refusesMalformedHeaders(text: String) {
    #expect(TraceContext(traceparent: text) == nil)
  }

  @Test func randomContextsDiffer() {
    #expect(TraceContext.random().traceID != TraceContext.random().traceID)
  }
}
