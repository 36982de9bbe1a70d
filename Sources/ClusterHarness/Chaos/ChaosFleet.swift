import Foundation
import ServingTypes

/// A cluster whose workers and Redis are reached through proxies, at addresses that outlive its processes.
struct ChaosFleet: Sendable {
  /// What a fleet is made of.
  struct Configuration: Sendable {
    /// Of its processes in a report.
    var name: String
    var binary: String
    /// `--model FILE`, or `--simulate NAME`.
    var model: [String]
    var routers = 2
    var prefill: Int
    var decode: Int
    /// More arguments of the workers.
    var workerArguments: [String] = []
  }

  /// The name in a schedule, and what is behind it.
  struct Target: Sendable {
    var member: LocalProcess
    /// Nil before a router, whose clients connect directly.
    var proxy: FaultProxy?
    /// Where it listens, behind its proxy.
    var port: Int
  }

  /// Where a process listens.
  private struct Place {
    var grpc: Int
    var http: Int
    var proxy: FaultProxy?
  }

  let name: String
  let cluster: Cluster
  let targets: [String: Target]

  /// Runs `body` with a fleet that is ready.
  static func run<Result: Sendable>(
    _ configuration: Configuration, drain: Double, _ body: @Sendable (ChaosFleet) async throws -> Result
  ) async throws -> Result {
    func place(proxied: Bool) async throws -> Place {
      let grpc = try FreePort.find()
      return Place(grpc: grpc, http: try FreePort.find(), proxy: proxied ? try await FaultProxy(toPort: grpc) : nil)
    }
    var places: [String: Place] = ["redis-0": try await place(proxied: true)]
    for index in 0..<configuration.routers { places["router-\(index)"] = try await place(proxied: false) }
    for index in 0..<configuration.prefill { places["prefill-\(index)"] = try await place(proxied: true) }
    for index in 0..<configuration.decode { places["decode-\(index)"] = try await place(proxied: true) }
    let redisProxy = places["redis-0"]?.proxy?.port ?? 0

    var settings = ClusterConfiguration(binary: configuration.binary, model: configuration.model)
    settings.routers = configuration.routers
    settings.prefill = configuration.prefill
    settings.decode = configuration.decode
    settings.arguments = { [places] role, index in
      guard let place = places["\(role.rawValue)-\(index)"] else { return [] }
      if role == .redis { return ["--port", "\(place.grpc)"] }
      var arguments = [
        "--redis", "redis://127.0.0.1:\(redisProxy)", "--listen", "127.0.0.1:\(place.grpc)", "--http-listen",
        "127.0.0.1:\(place.http)", "--drain-timeout", "\(Int(drain))s",
      ]
      if let proxy = place.proxy {
        arguments += ["--advertise", "127.0.0.1:\(proxy.port)"] + configuration.workerArguments
      }
      return arguments
    }
    let result = try await Cluster.run(settings) { cluster in
      var targets: [String: Target] = [:]
      for member in cluster.members {
        let key = member.role == .redis ? "redis-0" : member.name
        targets["\(configuration.name)/\(member.name)"] = Target(
          member: member, proxy: places[key]?.proxy, port: places[key]?.grpc ?? 0)
      }
      return try await body(ChaosFleet(name: configuration.name, cluster: cluster, targets: targets))
    }
    for place in places.values { await place.proxy?.close() }
    return result
  }

  var groups: [ChaosSchedule.Group] {
    func names(_ members: [LocalProcess]) -> [String] { members.map { "\(name)/\($0.name)" } }
    return [
      ChaosSchedule.Group(.workers, names(cluster.prefill)), ChaosSchedule.Group(.workers, names(cluster.decode)),
      ChaosSchedule.Group(.routers, names(cluster.routers)), ChaosSchedule.Group(.redis, names([cluster.redis])),
    ]
  }

  /// Where clients call.
  var transports: [ChaosClient.Transport] {
    cluster.routers.flatMap { [.grpc($0.grpc), .http($0.http)] as [ChaosClient.Transport] }
  }
}
