/// A fault that waits for its message: the first to which it applies from a number on, or that very one.
struct Fault: Hashable, Sendable, CustomStringConvertible {
  var kind: FaultKind
  /// Messages are counted from 0 over the whole run.
  var message: Int
  var isExact = false

  func isDue(at number: Int) -> Bool { isExact ? message == number : message <= number }

  var description: String { "\(kind)@\(message)" }
}
