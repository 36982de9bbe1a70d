import Foundation
import ServingTypes

/// A simulated model whose steps take the time that a test needs, as a file for processes to read.
struct PacedModel {
  /// Of every step.
  var step = Duration.zero
  /// Of a decode step besides, for each token before it.
  var contextToken = Duration.zero

  /// Runs `body` with the file's path.
  func withFile<Result>(_ body: (String) async throws -> Result) async throws -> Result {
    let fields: [String: Any] = [
      "name": "paced", "contextLength": 32_768, "blocks": 4096, "stepMicroseconds": step / .microseconds(1),
      "prefillTokenMicroseconds": 0, "decodeTokenMicroseconds": 0, "prefillPairNanoseconds": 0,
      "decodePairNanoseconds": contextToken / .nanoseconds(1),
    ]
    let file = FileManager.default.temporaryDirectory
      .appending(path: "baton-model-\(RequestID.random().value.prefix(12)).json")
    defer { try? FileManager.default.removeItem(at: file) }
    try JSONSerialization.data(withJSONObject: fields).write(to: file)
    return try await body(file.path)
  }
}
