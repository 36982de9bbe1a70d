/// Names one request in logs, traces and every message between the tiers.
public struct RequestID: Hashable, Sendable, CustomStringConvertible {
  public let value: String

  public init(_ value: String) { self.value = value }

  /// A new random identifier of 128 bits, in hexadecimal.
  public static func random() -> RequestID {
    var generator = SystemRandomNumberGenerator()
    return RequestID(hexadecimal(generator.next() as UInt64) + hexadecimal(generator.next() as UInt64))
  }

  public var description: String { value }
}
