import Foundation
import ServingTypes

/// Processes on this machine with a folder for their logs. None outlives the process that started them.
public final class LocalProcesses: Sendable {
  /// Of the logs; every process's `HOME`.
  public let folder: String
  private let guardian: ProcessGuardian
  private let processes: Lock<[LocalProcess]> = Lock([])

  /// Runs `body`, and ends every process that it added. After a failure the logs are kept, and the error says where.
  public static func run<Result: Sendable>(
    keepsLogs: Bool = false, _ body: (LocalProcesses) async throws -> Result
  ) async throws -> Result {
    let processes = try LocalProcesses()
    do {
      let result = try await body(processes)
      await processes.stop(keepsLogs: keepsLogs)
      return result
    } catch {
      await processes.stop(keepsLogs: true)
      let failure = error as? ServingError ?? ServingError(.internalError, "\(error)")
      throw ServingError(failure.code, "\(failure.message) (logs in \(processes.folder))")
    }
  }

  private init() throws {
    let path = FileManager.default.temporaryDirectory
      .appending(path: "baton-processes-\(RequestID.random().value.prefix(12))").path
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: false)
    folder = path
    guardian = try ProcessGuardian()
  }

  /// Adds a process, which is not started yet.
  ///
  /// - Parameters:
  ///   - role: nil for one that is no part of a cluster.
  ///   - environment: what it has besides `PATH` and `HOME`.
  public func add(
    _ name: String, role: LocalProcess.Role? = nil, executable: String, arguments: [String],
    environment: [String: String] = [:]
  ) -> LocalProcess {
    let process = LocalProcess(
      name, role: role, executable: executable, arguments: arguments, environment: environment, folder: folder,
      guardian: guardian)
    processes.withLock { $0.append(process) }
    return process
  }

  private func stop(keepsLogs: Bool) async {
    let processes = processes.withLock { $0 }
    for process in processes { process.kill() }
    for process in processes { try? await process.waitForExit(timeout: .seconds(10)) }
    guardian.end()
    if !keepsLogs { try? FileManager.default.removeItem(atPath: folder) }
  }
}
