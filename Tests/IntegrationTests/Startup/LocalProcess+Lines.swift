import ClusterHarness
import Foundation
import ServingTypes

extension LocalProcess {
  /// Waits for the first line of its log with one of these messages.
  func line(of messages: [String]) async throws -> Substring {
    var found: Substring?
    try await waitUntil("\(name) logs \(messages.joined(separator: " or "))") {
      // Asked for before the log is read, which is whole once the process has ended.
      let isOver = !self.isRunning
      let lines = self.log.split(separator: "\n")
      found = lines.first { line in messages.contains { line.contains("\"message\":\"\($0)\"") } }
      if found == nil && isOver { throw ServingError(.unavailable, "\(self.name) ended: \(self.log.suffix(1000))") }
      return found != nil
    }
    return found ?? ""
  }

  /// The parameters of the line that says what it runs with.
  func loggedParameters() async throws -> [String: String] {
    let line = try await line(of: ["configuration"])
    let object = try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any]
    return (object?["metadata"] as? [String: Any])?["parameters"] as? [String: String] ?? [:]
  }
}
