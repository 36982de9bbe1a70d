import Foundation
import Testing

/// A Redis Cluster of masters on the loopback, whose slots tests move.
final class RedisClusterServers {
  private(set) var nodes: [RedisServer] = []
  private let arguments: [String]

  init(masters: Int, arguments: [String] = []) async throws {
    self.arguments = arguments
    for _ in 0..<masters { try add() }
    for (index, node) in nodes.enumerated() {
      let (first, last) = (16_384 * index / masters, 16_384 * (index + 1) / masters - 1)
      try node.ask("CLUSTER", "ADDSLOTSRANGE", "\(first)", "\(last)")
    }
    try await settle()
  }

  var addresses: String { nodes.map { "127.0.0.1:\($0.port ?? 0)" }.joined(separator: ",") }

  func id(_ node: Int) throws -> String { try nodes[node].ask("CLUSTER", "MYID") }

  /// Starts one more node, which the others get to know.
  func add() throws {
    let ports = try RedisServer.freePorts(2)
    let node = try RedisServer(
      ["--cluster-enabled", "yes", "--cluster-port", "\(ports[1])", "--cluster-node-timeout", "500"]
        + [
          "--cluster-config-file", "nodes.conf", "--cluster-replica-validity-factor", "0", "--repl-diskless-sync-delay",
          "0",
        ]
        + arguments,
      port: ports[0])
    nodes.append(node)
    if nodes.count > 1 {
      try nodes[0].ask("CLUSTER", "MEET", "127.0.0.1", "\(ports[0])", "\(ports[1])")
    }
  }

  /// Waits until all nodes know each other and serve.
  func settle() async throws {
    for node in nodes {
      try await eventually("the cluster does not form") {
        let information = try node.ask("CLUSTER", "INFO")
        return information.contains("cluster_state:ok") && information.contains("cluster_known_nodes:\(nodes.count)")
          && information.contains("cluster_slots_ok:16384")
      }
    }
  }

  /// Begins to move a slot: from now on missing keys are asked for at the target.
  func beginMove(slot: Int, from: Int, to: Int) throws {
    try nodes[to].ask("CLUSTER", "SETSLOT", "\(slot)", "IMPORTING", try id(from))
    try nodes[from].ask("CLUSTER", "SETSLOT", "\(slot)", "MIGRATING", try id(to))
  }

  /// Moves the slot's keys, and the slot.
  func endMove(slot: Int, from: Int, to: Int) throws {
    while true {
      let keys = try nodes[from].ask("CLUSTER", "GETKEYSINSLOT", "\(slot)", "1").split(separator: "\n")
      guard let key = keys.first else { break }
      try nodes[from].ask("MIGRATE", "127.0.0.1", "\(nodes[to].port ?? 0)", String(key), "0", "5000")
    }
    for node in [to, from] { try nodes[node].ask("CLUSTER", "SETSLOT", "\(slot)", "NODE", try id(to)) }
  }
}
