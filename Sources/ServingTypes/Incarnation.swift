/// One life of a worker. A restart draws a new one, so that whatever was said of the old life is void at once.
public struct Incarnation: Hashable, Sendable, CustomStringConvertible {
  public let value: UInt64

  public init(_ value: UInt64) { self.value = value }

  public static func random() -> Incarnation { Incarnation(UInt64.random(in: 1...UInt64.max)) }

  public var description: String { hexadecimal(value) }
}
