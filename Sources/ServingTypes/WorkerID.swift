/// A worker's stable name, for example its pod's name.
public struct WorkerID: Hashable, Sendable, Comparable, CustomStringConvertible {
  public let value: String

  public init(_ value: String) { self.value = value }

  public var description: String { value }

  public static func < (left: WorkerID, right: WorkerID) -> Bool { left.value < right.value }
}
