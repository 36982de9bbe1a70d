import Foundation

/// The foreign peer: Python with grpcio, made by `scripts/python-env`.
enum PythonPeer {
  /// `$BATON_TEST_PYTHON`, or where `scripts/python-env` puts it; nil where there is none.
  static let python: String? = {
    let environment = ProcessInfo.processInfo.environment
    let cache = environment["BATON_CACHE"] ?? (environment["HOME"] ?? "") + "/.cache/baton"
    let candidates = [environment["BATON_TEST_PYTHON"], cache + "/python/bin/python"]
    return candidates.compactMap { $0 }.first { FileManager.default.isExecutableFile(atPath: $0) }
  }()

  static var isPresent: Bool { python != nil }

  static func process(_ arguments: String...) throws -> Process {
    let script = Bundle.module.bundlePath + "/Peer/peer.py"
    let process = Process()
    process.executableURL = URL(fileURLWithPath: python ?? "/nonexistent")
    process.arguments = [script] + arguments
    return process
  }

  /// Runs to the end off the cooperative pool.
  ///
  /// - Returns: the lines written, and the exit status.
  static func run(_ arguments: String...) async throws -> (lines: [String], status: Int32) {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: python ?? "/nonexistent")
    process.arguments = [Bundle.module.bundlePath + "/Peer/peer.py"] + arguments
    let output = Pipe()
    process.standardOutput = output
    return try await withCheckedThrowingContinuation { continuation in
      Thread.detachNewThread {
        do {
          try process.run()
          let data = output.fileHandleForReading.readDataToEndOfFile()
          process.waitUntilExit()
          let lines = String(decoding: data, as: UTF8.self).split(separator: "\n").map(String.init)
          continuation.resume(returning: (lines, process.terminationStatus))
        } catch {
          continuation.resume(throwing: error)
        }
      }
    }
  }

  /// Serves while `body` runs.
  static func withServer(_ body: (_ address: String) async throws -> Void) async throws {
    let process = try process("serve")
    let input = Pipe()
    let output = Pipe()
    process.standardInput = input
    process.standardOutput = output
    try process.run()
    defer {
      input.fileHandleForWriting.closeFile()
      process.waitUntilExit()
    }
    let line = await withCheckedContinuation { continuation in
      Thread.detachNewThread {
        continuation.resume(returning: output.fileHandleForReading.availableData)
      }
    }
    let port = String(decoding: line, as: UTF8.self).trimmingCharacters(in: .whitespacesAndNewlines)
    try await body("127.0.0.1:\(port)")
  }
}
