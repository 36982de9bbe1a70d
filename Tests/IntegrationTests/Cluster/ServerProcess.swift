import Foundation
import ServingTypes

/// A process of a cluster: its logs go to a file, from which the tests read where it listens.
final class ServerProcess: Sendable {
  let name: String
  private let process: Lock<Process>
  private let logPath: String
  let pid: Int32

  init(_ name: String, _ path: String, _ arguments: [String], in folder: URL, environment: [String: String] = [:])
    throws
  {
    self.name = name
    logPath = folder.appending(path: "\(name).log").path
    FileManager.default.createFile(atPath: logPath, contents: nil)
    let log = try FileHandle(forWritingTo: URL(filePath: logPath))
    let process = Process()
    process.executableURL = URL(filePath: path)
    process.arguments = arguments
    process.environment = ["PATH": ProcessInfo.processInfo.environment["PATH"] ?? "", "HOME": folder.path]
      .merging(environment) { _, new in new }
    process.standardInput = FileHandle.nullDevice
    process.standardOutput = FileHandle.nullDevice
    process.standardError = log
    try process.run()
    try? log.close()
    pid = process.processIdentifier
    self.process = Lock(process)
  }

  deinit { kill() }

  var log: String { (try? String(contentsOfFile: logPath, encoding: .utf8)) ?? "" }
  var isRunning: Bool { process.withLock { $0.isRunning } }

  /// Not to be called while it runs.
  var exitCode: Int32 { process.withLock { $0.isRunning ? -1 : $0.terminationStatus } }

  func signal(_ number: Int32) { if isRunning { Foundation.kill(pid, number) } }
  func kill() { signal(SIGKILL) }

  /// Waits for the log line with that message; returns its metadata as texts.
  func line(_ message: String) async throws -> [String: String] {
    var found: [String: String]?
    try await eventually("\(name) logs '\(message)'") {
      for line in self.log.split(separator: "\n") where line.contains("\"message\":\"\(message)\"") {
        guard let object = try? JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any] else { continue }
        let metadata = object["metadata"] as? [String: Any] ?? [:]
        found = metadata.mapValues { "\($0)" }
        return true
      }
      if !self.isRunning { throw ServingError(.unavailable, "\(self.name) ended: \(self.log.suffix(2000))") }
      return false
    }
    return found ?? [:]
  }

  func waitForExit() async throws -> Int32 {
    try await eventually("\(name) ends") { !self.isRunning }
    return exitCode
  }
}

/// Waits until the condition holds, for two minutes at most.
func eventually(_ what: String, _ condition: () async throws -> Bool) async throws {
  let deadline = ContinuousClock.now + .seconds(120)
  while try await !condition() {
    guard ContinuousClock.now < deadline else { throw ServingError(.deadlineExceeded, "waited in vain: \(what)") }
    try await Task.sleep(for: .milliseconds(20))
  }
}
