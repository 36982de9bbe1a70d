import ServingTestKit
import Synchronization

/// One life of a process, from its start to its crash.
final class SimulatedLife: Sendable {
  let name: String
  let node: SimulatedNode
  /// Routers and clients are neither killed nor frozen.
  let isWorker: Bool
  private let dead = Atomic(false)

  init(name: String, node: SimulatedNode, isWorker: Bool) {
    self.name = name
    self.node = node
    self.isWorker = isWorker
  }

  var isDead: Bool { dead.load(ordering: .relaxed) }

  func die() { dead.store(true, ordering: .relaxed) }
}
