import Foundation

/// The reference implementation's clients: Python with grpcio, made by `scripts/python-env`.
enum PythonTools {
  /// `$BATON_TEST_PYTHON`, or where `scripts/python-env` puts it; nil where there is none.
  static let python: String? = {
    let environment = ProcessInfo.processInfo.environment
    let cache = environment["BATON_CACHE"] ?? (environment["HOME"] ?? "") + "/.cache/baton"
    let candidates = [environment["BATON_TEST_PYTHON"], cache + "/python/bin/python"]
    return candidates.compactMap { $0 }.first { FileManager.default.isExecutableFile(atPath: $0) }
  }()

  static var isPresent: Bool { python != nil }

  /// Runs to the end off the cooperative pool.
  ///
  /// - Parameters:
  ///   - onLine: called with each line as it comes; returning false ends the command's input.
  /// - Returns: the lines written.
  static func run(
    _ arguments: String..., onLine: @escaping @Sendable (String) -> Bool = { _ in true }
  ) async throws -> [String] {
    try await withCheckedThrowingContinuation { continuation in
      Thread.detachNewThread {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: python ?? "/nonexistent")
        process.arguments = [Bundle.module.bundlePath + "/Peer/tools.py"] + arguments
        let input = Pipe()
        let output = Pipe()
        process.standardInput = input
        process.standardOutput = output
        do {
          try process.run()
        } catch {
          return continuation.resume(throwing: error)
        }
        var text = ""
        var lines: [String] = []
        while true {
          let data = output.fileHandleForReading.availableData
          if data.isEmpty { break }
          text += String(decoding: data, as: UTF8.self)
          while let end = text.firstIndex(of: "\n") {
            let line = String(text[..<end])
            text.removeSubrange(...end)
            lines.append(line)
            if !onLine(line) { input.fileHandleForWriting.closeFile() }
          }
        }
        process.waitUntilExit()
        continuation.resume(returning: lines)
      }
    }
  }
}
