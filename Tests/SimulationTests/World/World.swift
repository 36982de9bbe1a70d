import Directory
import Engine
import GRPCCore
import Logging
import RPC
import Routing
import ServingTestKit
import ServingTypes

/// One schedule: a router, its workers and its clients in a simulation, from the scenario's beginning to the last check.
final class World: Sendable {
  static let model = "simulated"
  /// How much later than its deadline a client may hear of the end: a plan that waits for a slow directory.
  private static let slack = Duration.seconds(5)

  let scenario: Scenario
  let simulation: Simulation
  let clock: ServingClock
  let network: SimulatedNetwork
  let directory: InMemoryDirectory
  let findings = Findings()
  private let workers = Lock<[SimulatedWorker]>([])
  private let giveUp = Signal()

  private init(_ scenario: Scenario) {
    self.scenario = scenario
    let simulation = Simulation(seed: scenario.seed, replay: scenario.origin)
    self.simulation = simulation
    clock = simulation.clock
    directory = InMemoryDirectory(now: { simulation.now })
    let crash = Lock<(@Sendable (SimulatedLife) -> Bool)?>(nil)
    network = SimulatedNetwork(
      simulation: simulation, faults: scenario.faults, window: scenario.window, latency: scenario.latency,
      blockBytes: scenario.blockSize * Scenario.tokenBytes, crash: { life in crash.withLock { $0 }?(life) ?? false })
    crash.withLock { crash in
      crash = { [workers] life in workers.withLock { $0 }.contains { $0.crash(life) } }
    }
  }

  static func run(_ scenario: Scenario) async -> Report {
    let world = World(scenario)
    return await world.simulation.run({ await world.play() }, onStall: { world.giveUp.give() })
  }

  // MARK: The play

  private func play() async -> Report {
    let expected = await expectedAnswers()
    let router = makeRouter()
    for index in 0..<scenario.prefillWorkers { add("prefill-\(index)", .prefill, port: 7000 + index) }
    for index in 0..<scenario.decodeWorkers { add("decode-\(index)", .decode, port: 8000 + index) }
    let routerNode = simulation.makeNode()
    let outcomes = await withTaskGroup(of: Void.self) { group in
      for worker in workers.withLock({ $0 }) {
        group.addTask(executorPreference: worker.node) { await worker.run() }
      }
      group.addTask(executorPreference: routerNode) { await router.run() }
      await wait(upTo: .seconds(3)) {
        router.workers.count == self.scenario.prefillWorkers + self.scenario.decodeWorkers
      }
      let outcomes = await self.serveClients(of: router)
      await self.settle(router)
      group.cancelAll()
      return outcomes
    }
    workers.withLock { $0 = [] }
    return report(outcomes, expected)
  }

  private func serveClients(of router: RequestRouter) async -> [Outcome] {
    let last = scenario.requests.map { $0.start + $0.deadline }.max() ?? .zero
    let timer = simulation.schedule(after: last + Self.slack + .seconds(60)) { [giveUp] in giveUp.give() }
    defer { simulation.cancel(timer) }
    return await withTaskGroup(of: Outcome?.self) { group in
      for request in scenario.requests { group.addTask { await self.serve(request, by: router) } }
      group.addTask {
        await self.giveUp.wait()
        return nil
      }
      var outcomes: [Outcome] = []
      while outcomes.count < scenario.requests.count, let next = await group.next() {
        if let outcome = next {
          outcomes.append(outcome)
        } else {
          findings.fail("a client hangs")
          group.cancelAll()
        }
      }
      group.cancelAll()
      return outcomes.sorted { $0.request.id < $1.request.id }
    }
  }

  private func serve(_ request: PlannedRequest, by router: RequestRouter) async -> Outcome {
    try? await clock.sleep(for: request.start)
    let start = clock.now
    let answer = Lock(Answer(samples: request.sampling.n))
    let error = await withTaskGroup(of: ServingError??.self) { group in
      group.addTask {
        do throws(ServingError) {
          try await self.ask(request, of: router, answer)
          return .some(nil)
        } catch {
          return error
        }
      }
      if let leaves = request.leaves {
        group.addTask {
          do { try await self.clock.sleep(for: leaves) } catch { return nil }
          return .some(ServingError(.cancelled, "left"))
        }
      }
      let first = await group.next() ?? nil
      group.cancelAll()
      return first ?? nil
    }
    return Outcome(request: request, answer: answer.withLock { $0 }, error: error, took: clock.now - start)
  }

  private func ask(
    _ request: PlannedRequest, of router: RequestRouter, _ answer: Lock<Answer>
  ) async throws(ServingError) {
    let asked = GenerationRequest(
      id: RequestID("request-\(request.id)"), prompt: .tokens(request.prompt), sampling: request.sampling,
      cacheSalt: request.salt, deadline: clock.now + request.deadline)
    @Sendable func take(_ update: GenerationUpdate) async throws {
      answer.withLock { $0.take(update) }
      if request.reading > .zero { try await clock.sleep(for: request.reading) }
    }
    do {
      guard request.isDelivered else {
        for try await update in try await router.generate(asked).updates { try await take(update) }
        return
      }
      try await router.generate(asked) { update, _ in
        try await take(update)
      } deliverNow: { update in
        if self.simulation.chance(in: request.reading > .zero ? 2 : 4) { return false }
        answer.withLock { $0.take(update) }
        return true
      }
    } catch is CancellationError {
      throw ServingError(.cancelled, "left")
    } catch {
      throw ServingError(any: error)
    }
  }

  // MARK: Ends

  /// Everything that the clients' requests held has to come back.
  private func settle(_ router: RequestRouter) async {
    let engines: @Sendable () -> [EngineCore] = { self.workers.withLock { $0 }.compactMap(\.engine) }
    await wait(upTo: .seconds(90)) {
      self.network.openCalls == 0 && router.inFlight == 0 && engines().allSatisfy { Self.isIdle($0) }
    }
    if network.openCalls > 0 { findings.fail("\(network.openCalls) ends of calls are left open") }
    if router.inFlight > 0 { findings.fail("the router still counts \(router.inFlight) requests") }
  }

  /// Nothing runs in the engine, no block is held, and its books are right.
  func expectIdle(_ engine: EngineCore, of name: String) async {
    await wait(upTo: .seconds(60)) { Self.isIdle(engine) }
    let statistics = engine.statistics
    if !Self.isIdle(engine) {
      findings.fail(
        "\(name) holds \(statistics.activeBlocks) blocks, \(statistics.pinnedBlocks) of them pinned, for"
          + " \(statistics.runningSequences) running and \(statistics.waitingSequences) waiting sequences")
    }
    if let failure = statistics.failure { findings.fail("\(name): \(failure)") }
    do throws(ServingError) {
      try await engine.checkIntegrity()
    } catch {
      findings.fail("\(name): \(error)")
    }
  }

  private static func isIdle(_ engine: EngineCore) -> Bool {
    let statistics = engine.statistics
    return statistics.failure != nil
      || statistics.activeBlocks == 0 && statistics.pinnedBlocks == 0 && statistics.runningSequences == 0
        && statistics.waitingSequences == 0 && statistics.receivingRequests == 0 && !engine.hasMail
  }

  /// Waits also where the task is cancelled.
  private func wait(upTo limit: Duration, _ condition: @escaping @Sendable () -> Bool) async {
    let end = clock.now + limit
    var pause = Duration.milliseconds(1)
    while !condition(), clock.now < end {
      let next = pause
      await withCheckedContinuation { continuation in
        simulation.schedule(after: next) { continuation.resume() }
      }
      pause = min(pause * 2, .milliseconds(500))
    }
  }

  // MARK: Making

  func makeChannels(for life: SimulatedLife) -> ChannelPool {
    ChannelPool(
      now: { [simulation] in simulation.now },
      connect: { [network] address, _ in
        .simulated(SimulatedClientTransport(network: network, life: life, address: address.description))
      })
  }

  private func add(_ id: String, _ role: WorkerRole, port: Int) {
    let worker = SimulatedWorker(id, role: role, port: port, world: self)
    workers.withLock { $0.append(worker) }
  }

  private func makeRouter() -> RequestRouter {
    let life = SimulatedLife(name: "router", node: simulation.makeNode(), isWorker: false)
    return RequestRouter(
      models: [
        ServedModel(
          name: Self.model, tokenizer: Scenario.vocabulary, chatTemplate: nil, contextLength: Scenario.longestContext)
      ],
      directory: SimulatedDirectory(inner: directory, simulation: simulation, mood: scenario.directory, life: life),
      channels: makeChannels(for: life), configuration: scenario.routing,
      logger: Logger(label: "router") { [findings] _ in FindingsLogHandler(findings: findings) }, clock: clock)
  }
}
