import ServingTypes

/// Where a request stands in a distributed trace, as W3C's `traceparent` header carries it.
///
/// - SeeAlso: W3C Trace Context, level 1.
public struct TraceContext: Hashable, Sendable {
  /// The trace that the present task works for.
  @TaskLocal public static var current: TraceContext?

  /// The trace's 128 bits; never all zero.
  public let traceHigh: UInt64
  public let traceLow: UInt64
  /// The span that is the parent of what comes next; never zero.
  public let spanID: UInt64
  /// Whether the caller records this trace.
  public let isSampled: Bool

  public init?(traceHigh: UInt64, traceLow: UInt64, spanID: UInt64, isSampled: Bool) {
    guard traceHigh != 0 || traceLow != 0, spanID != 0 else { return nil }
    self.init(unchecked: traceHigh, traceLow, spanID, isSampled)
  }

  private init(unchecked traceHigh: UInt64, _ traceLow: UInt64, _ spanID: UInt64, _ isSampled: Bool) {
    self.traceHigh = traceHigh
    self.traceLow = traceLow
    self.spanID = spanID
    self.isSampled = isSampled
  }

  /// A new trace.
  public static func random(isSampled: Bool = false) -> TraceContext {
    TraceContext(
      unchecked: .random(in: 1...UInt64.max), .random(in: 1...UInt64.max), .random(in: 1...UInt64.max), isSampled)
  }

  /// Reads a `traceparent` header; nil when it is malformed, and then a new trace begins.
  public init?(traceparent: String) {
    let bytes = Array(traceparent.utf8)
    let dash = UInt8(ascii: "-")
    guard bytes.count >= 55, bytes[2] == dash, bytes[35] == dash, bytes[52] == dash,
      let version = Self.parse(bytes[0..<2]), version != 0xFF,
      bytes.count == 55 || (version > 0 && bytes[55] == dash),
      let high = Self.parse(bytes[3..<19]), let low = Self.parse(bytes[19..<35]),
      let span = Self.parse(bytes[36..<52]), let flags = Self.parse(bytes[53..<55])
    else { return nil }
    self.init(traceHigh: high, traceLow: low, spanID: span, isSampled: flags & 1 == 1)
  }

  /// The header that a callee gets.
  public var traceparent: String { "00-\(traceID)-\(hexadecimal(spanID))-\(isSampled ? "01" : "00")" }

  /// The trace's 32 hexadecimal digits, as logs show them.
  public var traceID: String { hexadecimal(traceHigh) + hexadecimal(traceLow) }

  /// The same trace with a new span.
  public func child() -> TraceContext {
    TraceContext(unchecked: traceHigh, traceLow, .random(in: 1...UInt64.max), isSampled)
  }

  private static func parse(_ digits: ArraySlice<UInt8>) -> UInt64? {
    var value: UInt64 = 0
    for digit in digits {
      switch digit {
      case UInt8(ascii: "0")...UInt8(ascii: "9"): value = value << 4 | UInt64(digit - UInt8(ascii: "0"))
      case UInt8(ascii: "a")...UInt8(ascii: "f"): value = value << 4 | UInt64(digit - UInt8(ascii: "a") + 10)
      default: return nil
      }
    }
    return value
  }
}
