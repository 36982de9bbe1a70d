import Foundation

extension String {
  /// Filled up with spaces, never cut.
  func padded(to width: Int) -> String {
    self + String(repeating: " ", count: max(0, width - count))
  }
}

extension Double {
  func text(_ width: Int, _ digits: Int) -> String { String(format: "%\(width).\(digits)f", self) }
}
