import Foundation
import LoadHarness
import ServingTypes

/// What a comparison writes with `--json`.
struct BenchReport<Results: Encodable>: Encodable {
  var model: String
  var bars: [Bar]
  var results: Results

  /// - Parameter path: `-` is standard output.
  func write(to path: String) throws {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
    try BenchFile.write(String(decoding: try encoder.encode(self), as: UTF8.self) + "\n", to: path)
  }
}

/// Files that a comparison writes.
enum BenchFile {
  /// - Parameter path: `-` is standard output.
  static func write(_ text: String, to path: String) throws {
    if path == "-" { return print(text, terminator: "") }
    do {
      try Data(text.utf8).write(to: URL(fileURLWithPath: path))
    } catch {
      throw ServingError(.invalidArgument, "cannot write \(path): \(error.localizedDescription)")
    }
  }
}
