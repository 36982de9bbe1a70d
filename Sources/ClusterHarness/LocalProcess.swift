import Foundation
import ServingTypes

/// One process of a cluster or beside one, by a name that it keeps over its lives.
public final class LocalProcess: Sendable {
  /// What the process is to its cluster.
  public enum Role: String, Hashable, Sendable, CaseIterable {
    case redis, router, prefill, decode
  }

  private struct Life {
    var process: Process
    var pid: Int32
    var logPath: String
    var grpc = ""
    var http = ""
  }

  public let name: String
  /// Nil for one that is no part of a cluster.
  public let role: Role?
  private let executable: String
  private let arguments: [String]
  private let environment: [String: String]
  private let folder: String
  private let guardian: ProcessGuardian
  private let life: Lock<Life?> = Lock(nil)
  private let lives = Lock(0)

  init(
    _ name: String, role: Role?, executable: String, arguments: [String], environment: [String: String],
    folder: String, guardian: ProcessGuardian
  ) {
    self.name = name
    self.role = role
    self.executable = executable
    self.arguments = arguments
    self.environment = environment
    self.folder = folder
    self.guardian = guardian
  }

  // MARK: What it is now

  /// Of the present life, or of the last one; 0 before the first.
  public var pid: Int32 { life.withLock { $0?.pid ?? 0 } }
  public var isRunning: Bool { life.withLock { $0?.process.isRunning ?? false } }
  /// Times that it was started.
  public var lifeCount: Int { lives.withLock { $0 } }
  /// Where it listens, once `waitUntilReady` has returned; a port may be another one after a restart.
  public var grpc: String { life.withLock { $0?.grpc ?? "" } }
  public var http: String { life.withLock { $0?.http ?? "" } }
  /// What it wrote in its present life.
  public var log: String { (try? String(contentsOfFile: logPath, encoding: .utf8)) ?? "" }
  public var logPath: String { life.withLock { $0?.logPath ?? "" } }

  /// Of the last life; nil while it runs.
  public var exitCode: Int32? {
    life.withLock { life in life.flatMap { $0.process.isRunning ? nil : $0.process.terminationStatus } }
  }

  // MARK: Its life and death

  /// Starts it, or starts it again under the same name and with the same arguments. Not from two tasks at once.
  ///
  /// - Throws: `failedPrecondition` while it runs.
  public func start() throws {
    if isRunning { throw ServingError(.failedPrecondition, "\(name) runs already") }
    let number = lives.withLock { lives in
      lives += 1
      return lives
    }
    let path = "\(folder)/\(name)\(number == 1 ? "" : ".\(number)").log"
    _ = FileManager.default.createFile(atPath: path, contents: nil)
    let output = try FileHandle(forWritingTo: URL(filePath: path))
    defer { try? output.close() }
    let process = Process()
    process.executableURL = URL(filePath: executable)
    process.arguments = arguments
    // What is set for this process is not meant for those.
    process.environment = ["PATH": ProcessInfo.processInfo.environment["PATH"] ?? "", "HOME": folder]
      .merging(environment) { _, given in given }
    process.standardInput = FileHandle.nullDevice
    process.standardOutput = output
    process.standardError = output
    process.terminationHandler = { [guardian] process in guardian.forget(process.processIdentifier) }
    try process.run()
    guardian.watch(process.processIdentifier)
    // One that ended at once may have been forgotten before it was watched.
    if !process.isRunning { guardian.forget(process.processIdentifier) }
    let next = Life(process: process, pid: process.processIdentifier, logPath: path)
    life.withLock { [next] in $0 = next }
  }

  /// Returns when it has said where it listens.
  public func waitUntilReady(timeout: Duration = .seconds(120)) async throws {
    let mark = role == .redis ? "Ready to accept connections" : "\"message\":\"ready\""
    try await waitUntil("\(name) is ready", timeout: timeout) {
      guard let line = self.log.split(separator: "\n").first(where: { $0.contains(mark) }) else {
        if self.isRunning { return false }
        throw ServingError(.unavailable, "\(self.name) ended before it was ready: \(self.log.suffix(1000))")
      }
      if self.role != .redis { self.read(line) }
      return true
    }
  }

  private func read(_ line: Substring) {
    let object = try? JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any]
    let metadata = object?["metadata"] as? [String: Any] ?? [:]
    life.withLock { life in
      life?.grpc = metadata["grpc"] as? String ?? ""
      life?.http = metadata["http"] as? String ?? ""
    }
  }

  /// Sends a signal; without effect once it has ended.
  public func signal(_ number: Int32) {
    life.withLock { life in
      if let life, life.process.isRunning { _ = Foundation.kill(life.pid, number) }
    }
  }

  /// Ends it at once, without a word.
  public func kill() { signal(SIGKILL) }
  /// Asks it to drain and end.
  public func terminate() { signal(SIGTERM) }
  /// Takes its time away, with all its connections open.
  public func freeze() { signal(SIGSTOP) }
  public func thaw() { signal(SIGCONT) }

  public func waitForExit(timeout: Duration = .seconds(120)) async throws {
    try await waitUntil("\(name) ends", timeout: timeout) { !self.isRunning }
  }

  /// Kills it where it runs, starts it again, and returns when it is ready.
  public func restart() async throws {
    kill()
    try await waitForExit()
    try start()
    try await waitUntilReady()
  }

  // MARK: What it takes

  /// Processor time of the present life, in and for it.
  public var processorSeconds: Double { ProcessAccount.processorSeconds(of: pid) }
  public var residentBytes: Int { ProcessAccount.residentBytes(of: pid) }
}
