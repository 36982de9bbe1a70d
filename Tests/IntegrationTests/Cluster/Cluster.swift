import Foundation
import GRPCCore
import GRPCTransport
import ServingProtos
import ServingTypes

/// A Redis, a router and workers, each a process of its own.
final class Cluster: Sendable {
  struct Worker: Sendable {
    var process: ServerProcess
    var grpc: String
    var http: String
  }

  let folder: URL
  let redis: ServerProcess?
  let prefill: [Worker]
  let decode: [Worker]
  let router: Worker

  /// Starts everything and waits until the router sees every worker.
  static func start(
    prefill prefillCount: Int = 2, decode decodeCount: Int = 2, arguments: [String] = [],
    prefillArguments: [String] = [], decodeArguments: [String] = []
  ) async throws -> Cluster {
    let folder = FileManager.default.temporaryDirectory.appending(path: "baton-\(RequestID.random().value.prefix(12))")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    let socket = folder.appending(path: "redis.sock").path
    let redis = try ServerProcess(
      "redis", TestFiles.redis ?? "",
      ["--port", "0", "--unixsocket", socket, "--save", "", "--appendonly", "no", "--dir", folder.path], in: folder)
    try await eventually("Redis listens") { FileManager.default.fileExists(atPath: socket) }
    let common = [
      "--model", TestFiles.model ?? "", "--served-model-name", "smollm2", "--redis", "unix://\(socket)",
      "--listen", "127.0.0.1:0", "--http-listen", "127.0.0.1:0",
    ]
    let worker = common + ["--threads", "1", "--num-blocks", "1500", "--check-integrity-on-idle"] + arguments
    func launch(_ role: String, _ name: String, _ arguments: [String]) throws -> ServerProcess {
      try ServerProcess(name, TestFiles.baton ?? "", [role] + arguments, in: folder)
    }
    func ready(_ process: ServerProcess) async throws -> Worker {
      let line = try await process.line("ready")
      return Worker(process: process, grpc: line["grpc"] ?? "", http: line["http"] ?? "")
    }
    let prefillProcesses = try (0..<prefillCount).map {
      try launch("prefill", "prefill-\($0)", worker + prefillArguments + ["--worker-id", "prefill-\($0)"])
    }
    let decodeProcesses = try (0..<decodeCount).map {
      try launch("decode", "decode-\($0)", worker + decodeArguments + ["--worker-id", "decode-\($0)"])
    }
    let routerProcess = try launch("router", "router", common)
    var prefillWorkers: [Worker] = []
    for process in prefillProcesses { prefillWorkers.append(try await ready(process)) }
    var decodeWorkers: [Worker] = []
    for process in decodeProcesses { decodeWorkers.append(try await ready(process)) }
    let cluster = Cluster(
      folder: folder, redis: redis, prefill: prefillWorkers, decode: decodeWorkers,
      router: try await ready(routerProcess))
    try await cluster.waitForWorkers()
    return cluster
  }

  /// One process that does everything.
  static func embedded(arguments: [String] = []) async throws -> Cluster {
    let folder = FileManager.default.temporaryDirectory.appending(path: "baton-\(RequestID.random().value.prefix(12))")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    let process = try ServerProcess(
      "serve", TestFiles.baton ?? "",
      [
        "serve", "--model", TestFiles.model ?? "", "--served-model-name", "smollm2", "--listen", "127.0.0.1:0",
        "--http-listen", "127.0.0.1:0", "--num-blocks", "1500", "--check-integrity-on-idle",
      ] + arguments, in: folder)
    let line = try await process.line("ready")
    let worker = Worker(process: process, grpc: line["grpc"] ?? "", http: line["http"] ?? "")
    return Cluster(folder: folder, redis: nil, prefill: [], decode: [], router: worker)
  }

  private init(folder: URL, redis: ServerProcess?, prefill: [Worker], decode: [Worker], router: Worker) {
    self.folder = folder
    self.redis = redis
    self.prefill = prefill
    self.decode = decode
    self.router = router
  }

  var workers: [Worker] { prefill + decode }

  /// Kills what runs and removes the folder.
  func stop() {
    for process in workers.map(\.process) + [router.process] + [redis].compactMap({ $0 }) { process.kill() }
    try? FileManager.default.removeItem(at: folder)
  }

  private func waitForWorkers() async throws {
    try await eventually("the router is ready") { try await self.router.get("/readyz").status == 200 }
    try await eventually("the router sees \(prefill.count + decode.count) workers") {
      let metrics = try await self.router.metrics()
      return metrics["baton_router_workers{role=\"prefill\"}"] == Double(self.prefill.count)
        && metrics["baton_router_workers{role=\"decode\"}"] == Double(self.decode.count)
    }
  }

  /// Every worker that still runs is idle, holds no block in use and proves that none leaked.
  func expectNoBlocksInUse() async throws {
    for worker in workers where worker.process.isRunning {
      try await eventually("\(worker.process.name) has no active block") {
        let statistics = try await worker.statistics()
        return statistics.activeBlocks == 0 && statistics.runningSequences == 0 && statistics.waitingSequences == 0
      }
      _ = try await worker.statistics(checkIntegrity: true)
    }
  }
}
