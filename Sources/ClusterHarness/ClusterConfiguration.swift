import Foundation
import ServingTypes

/// Which processes a cluster has, and what they are told.
public struct ClusterConfiguration: Sendable {
  /// Of the `baton` binary.
  public var binary: String
  /// Of `redis-server`; found on the `PATH`.
  public var redis: String
  public var routers = 1
  public var prefill = 1
  public var decode = 1
  /// What all of Baton's processes serve: `["--simulate", "8b"]`, or a real model.
  public var model: [String]
  /// More arguments of one process, by its role and its number among them, from 0.
  public var arguments: @Sendable (LocalProcess.Role, Int) -> [String] = { _, _ in [] }
  /// Logs stay where they are even if all went well.
  public var keepsLogs = false

  public init(binary: String, redis: String? = nil, model: [String]) {
    self.binary = binary
    self.redis = redis ?? Self.find("redis-server") ?? "redis-server"
    self.model = model
  }

  /// Where the `PATH` has a program.
  public static func find(_ program: String) -> String? {
    let folders = ProcessInfo.processInfo.environment["PATH"]?.split(separator: ":") ?? []
    return folders.map { "\($0)/\(program)" }.first { FileManager.default.isExecutableFile(atPath: $0) }
  }
}
