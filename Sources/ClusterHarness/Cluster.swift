import Foundation
import Observability
import ServingTypes

/// A Redis, routers and workers, each a process of its own on this machine.
public final class Cluster: Sendable {
  public let configuration: ClusterConfiguration
  /// These and all others that end with the cluster.
  public let processes: LocalProcesses
  public let redis: LocalProcess
  public let routers: [LocalProcess]
  public let prefill: [LocalProcess]
  public let decode: [LocalProcess]

  /// Runs `body` with a cluster that is ready, and ends it. After a failure the logs are kept, and the error says where.
  public static func run<Result: Sendable>(
    _ configuration: ClusterConfiguration, _ body: (Cluster) async throws -> Result
  ) async throws -> Result {
    for program in [configuration.binary, configuration.redis]
    where !FileManager.default.isExecutableFile(atPath: program) {
      throw ServingError(.notFound, "there is no program \(program)")
    }
    return try await LocalProcesses.run(keepsLogs: configuration.keepsLogs) { processes in
      let cluster = try Cluster(configuration, processes)
      try await cluster.start()
      return try await body(cluster)
    }
  }

  private init(_ configuration: ClusterConfiguration, _ processes: LocalProcesses) throws {
    self.configuration = configuration
    self.processes = processes
    let port = try FreePort.find()
    redis = processes.add(
      "redis", role: .redis, executable: configuration.redis,
      arguments: [
        "--port", "\(port)", "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", processes.folder,
      ] + configuration.arguments(.redis, 0))
    func members(_ role: LocalProcess.Role, _ count: Int) -> [LocalProcess] {
      (0..<count).map { index in
        let name = "\(role.rawValue)-\(index)"
        let given = configuration.arguments(role, index)
        var arguments = [role.rawValue] + configuration.model
        if !given.contains("--redis") { arguments += ["--redis", "redis://127.0.0.1:\(port)"] }
        arguments += ["--listen", "127.0.0.1:0", "--http-listen", "127.0.0.1:0"]
        if role != .router { arguments += ["--worker-id", name] }
        return processes.add(name, role: role, executable: configuration.binary, arguments: arguments + given)
      }
    }
    routers = members(.router, configuration.routers)
    prefill = members(.prefill, configuration.prefill)
    decode = members(.decode, configuration.decode)
  }

  public var workers: [LocalProcess] { prefill + decode }
  public var members: [LocalProcess] { [redis] + routers + workers }

  /// Starts everything and waits until every router sees every worker.
  private func start() async throws {
    try redis.start()
    try await redis.waitUntilReady()
    for member in workers + routers { try member.start() }
    for member in workers + routers { try await member.waitUntilReady() }
    try await waitForWorkers()
  }

  /// A process that stands still takes connections and answers nothing.
  private static let answerTimeout = Duration.seconds(30)

  /// Returns when every router sees all workers that run.
  public func waitForWorkers(timeout: Duration = .seconds(120)) async throws {
    for router in routers {
      try await waitUntil("\(router.name) is ready and sees every worker", timeout: timeout) {
        // Workers have a lease before their self-test has passed.
        let client = HTTPClient(address: router.http, timeout: Self.answerTimeout)
        guard (try? await client.get("/readyz").status) == 200 else { return false }
        let metrics = try? await self.metrics(of: router)
        return [("prefill", self.prefill), ("decode", self.decode)].allSatisfy { role, members in
          metrics?.value("baton_router_workers", where: ["role": role]) ?? 0
            == Double(members.count(where: \.isRunning))
        }
      }
    }
  }

  /// What a router or worker exposes now.
  public func metrics(of member: LocalProcess) async throws -> MetricsSnapshot {
    let answer = try await HTTPClient(address: member.http, timeout: Self.answerTimeout).get("/metrics")
    guard answer.status == 200 else {
      throw ServingError(.unavailable, "\(member.name) answers /metrics with \(answer.status)")
    }
    return try MetricsSnapshot(parsing: answer.body)
  }
}
