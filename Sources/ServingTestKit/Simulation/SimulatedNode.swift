import ServingTypes
import Synchronization

/// One machine of a simulation. Tasks that prefer it run when the simulation picks them.
public final class SimulatedNode: TaskExecutor {
  public let index: Int
  private let frozen = Atomic(false)
  private unowned let simulation: Simulation

  init(index: Int, simulation: Simulation) {
    self.index = index
    self.simulation = simulation
  }

  public var isFrozen: Bool { frozen.load(ordering: .relaxed) }

  func setFrozen(_ isFrozen: Bool) { frozen.store(isFrozen, ordering: .relaxed) }

  public func enqueue(_ job: consuming ExecutorJob) { simulation.enqueue(UnownedJob(job), on: self) }
}
