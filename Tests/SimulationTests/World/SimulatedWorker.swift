import DecodeServer
import Directory
import Engine
import GRPCCore
import KVTransfer
import Logging
import Observability
import PrefillServer
import RPC
import ServingTestKit
import ServingTypes

/// A worker under one name: lives that follow each other, each with a new engine, cache and incarnation.
final class SimulatedWorker: Sendable {
  private struct State {
    var life: SimulatedLife?
    var crash: Signal?
    var engine: EngineCore?
    var lives = 0
  }

  let id: WorkerID
  let role: WorkerRole
  let address: String
  let node: SimulatedNode
  private let world: World
  private let state = Lock(State())

  init(_ id: String, role: WorkerRole, port: Int, world: World) {
    self.id = WorkerID(id)
    self.role = role
    self.world = world
    address = "\(id):\(port)"
    node = world.simulation.makeNode()
  }

  /// The engine that lives now.
  var engine: EngineCore? { state.withLock { $0.engine } }

  /// Kills the life. False when it is dead already.
  func crash(_ life: SimulatedLife) -> Bool {
    guard let crash = state.withLock({ $0.life === life ? $0.crash : nil }), !life.isDead else { return false }
    life.die()
    world.simulation.thaw(node)
    world.network.end(life, silently: world.scenario.diesSilently)
    crash.give()
    return true
  }

  /// One life after the other, until the task is cancelled.
  func run() async {
    var weights = 0
    while !Task.isCancelled {
      let life = SimulatedLife(name: id.description, node: node, isWorker: true)
      let crash = Signal()
      let number = state.withLock { state in
        state.lives += 1
        state.life = life
        state.crash = crash
        return state.lives
      }
      do {
        try await live(life, until: crash, incarnation: Incarnation(UInt64(number)), weights: weights)
      } catch {
        world.findings.fail("\(id): \(error)")
        return
      }
      if !life.isDead { return }
      let delay = world.simulation.random(world.scenario.restartDelay)
      do { try await world.clock.sleep(for: delay) } catch { return }
      if world.scenario.changesWeights, world.simulation.chance(in: 2) { weights = 1 - weights }
    }
  }

  private func live(
    _ life: SimulatedLife, until crash: Signal, incarnation: Incarnation, weights: Int
  ) async throws {
    let (simulation, scenario, clock) = (world.simulation, world.scenario, world.clock)
    let engine = try scenario.makeEngine(
      blockCount: role == .prefill ? scenario.prefillBlocks : scenario.decodeBlocks, weights: weights, clock: clock)
    simulation.drive(engine, on: node, stepTime: scenario.stepTime)
    state.withLock { $0.engine = engine }
    let transport = SimulatedServerTransport(network: world.network, life: life, address: address)
    let channels = world.makeChannels(for: life)
    let worker = WorkerState(
      id: id, incarnation: incarnation, role: role, model: World.model, address: address, mutants: scenario.mutants)
    let statistics = TransferStatistics()
    let health = HealthService()
    health.set(.serving, for: HealthService.liveness)
    var services: [any RegistrableRPCService] = [
      health,
      BlocksService(
        engine: engine, worker: worker, statistics: statistics, stallTimeout: scenario.sendStallTimeout, clock: clock),
    ]
    if role.servesPrefill {
      services.append(
        PrefillService(
          engine: engine, worker: worker, statistics: statistics, stallTimeout: scenario.sendStallTimeout, clock: clock)
      )
    }
    if role.servesDecode {
      let logger = Logger(label: "worker") { [findings = world.findings] _ in FindingsLogHandler(findings: findings) }
      services.append(
        DecodeService(
          engine: engine, tokenizer: Scenario.vocabulary, worker: worker, channels: channels,
          configuration: scenario.decode, statistics: statistics, metrics: DecodeMetrics(MetricsRegistry()),
          logger: logger, clock: clock))
    }
    let announcer = DirectoryAnnouncer(
      directory: SimulatedDirectory(
        inner: world.directory, simulation: simulation, mood: .sound, life: life),
      configuration: AnnouncerConfiguration(
        leaseLifetime: .seconds(4), heartbeat: .seconds(1), pollInterval: .milliseconds(500)), clock: clock,
      record: { [role] in World.record(engine, worker, role) }, changes: { await engine.cacheChanges() })
    let fetcher = BlockFetcher(
      engine: engine, channels: channels, creditWindow: scenario.decode.creditWindow,
      logger: Logger(label: "fetcher") { _ in SwiftLogNoOpLogHandler() }, clock: clock)
    let server = GRPCServer(transport: transport, services: services)
    world.network.listen(transport)
    await withTaskGroup(of: Void.self) { group in
      group.addTask { try? await server.serve() }
      group.addTask { await announcer.run() }
      group.addTask { await fetcher.run() }
      await crash.wait()
      group.cancelAll()
    }
    channels.close()
    await world.expectIdle(engine, of: "\(id) in its life \(incarnation.value)")
    simulation.retire(engine)
  }
}
