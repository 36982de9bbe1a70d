import ServingTypes

/// Whoever the commands go to: one server, which sentinels may name, or a cluster.
enum RedisServers: Sendable {
  case one(RedisConnection)
  case cluster(RedisCluster)

  /// - Parameter onLoss: told when a connection breaks or cannot be had, on any thread.
  init(
    _ address: RedisAddress, configuration: RedisConfiguration, onLoss: @escaping @Sendable (RedisFailure) -> Void
  ) throws(ServingError) {
    let login = RedisLogin(address)
    let timeouts = try RedisTimeouts(resolution: min(configuration.lookupTimeout / 4, .milliseconds(25)))
    func one(_ target: RedisTarget) throws(ServingError) -> RedisServers {
      .one(
        try RedisConnection(
          target: target, login: login, configuration: configuration, timeouts: timeouts, onLoss: onLoss))
    }
    switch address.servers {
    case .single(let endpoint): self = try one(.server(endpoint))
    case .sentinel(let sentinels, let master): self = try one(.master(sentinels: sentinels, name: master))
    case .cluster(let seeds):
      self = .cluster(
        RedisCluster(
          seeds: seeds, login: login, configuration: configuration, timeouts: timeouts, onLoss: onLoss))
    }
  }

  var counts: RedisServerCounts {
    switch self {
    case .one(let connection):
      RedisServerCounts(
        isConnected: connection.isConnected, servers: 1, pendingCommands: connection.pendingCommands,
        reconnects: max(0, connection.openings - 1), possibleLosses: connection.possibleLosses)
    case .cluster(let cluster): cluster.counts
    }
  }

  func close() {
    switch self {
    case .one(let connection): connection.close()
    case .cluster(let cluster): cluster.close()
    }
  }

  /// Sends the commands and returns a reply for each.
  func execute(
    _ pipeline: RedisPipeline, patience: RedisPatience = RedisPatience()
  ) async throws(RedisFailure) -> [RedisReply] {
    switch self {
    case .one(let connection): try await connection.execute(pipeline, patience: patience)
    case .cluster(let cluster): try await cluster.execute(pipeline, patience: patience)
    }
  }
}
