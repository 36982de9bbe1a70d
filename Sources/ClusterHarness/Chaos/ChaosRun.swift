import Foundation
import GRPCCore
import ServingTypes

/// Real processes under load while a schedule of faults goes on, and what clients saw of it.
///
/// Right answers are asked for before the first fault. After the last one every process is whole again, and must prove
/// that it holds no block in use.
public struct ChaosRun: Sendable {
  public struct Configuration: Sendable {
    /// Of `baton`.
    public var binary: String
    /// A real model's file.
    public var model: String
    public var faults: ChaosConfiguration
    /// Told of each fault, and of the phases.
    public var report: @Sendable (String) -> Void

    public init(
      binary: String, model: String, faults: ChaosConfiguration = ChaosConfiguration(),
      report: @escaping @Sendable (String) -> Void = { _ in }
    ) {
      self.binary = binary
      self.model = model
      self.faults = faults
      self.report = report
    }
  }

  /// Load of the real model: two cores compute it, so a few clients at a time.
  static let realLoad = ChaosLoad.Configuration(clients: 3, pause: 2)
  /// Load of the simulated one.
  static let simulatedLoad = ChaosLoad.Configuration(clients: 12, pause: 1)
  /// Requests with different answers, of each model.
  static let callCount = 24

  let configuration: Configuration

  public init(_ configuration: Configuration) { self.configuration = configuration }

  /// - Throws: when a fleet cannot be started or brought back, not for what the bars are about.
  public func run() async throws -> ChaosReport {
    let common = ["--check-integrity-on-idle"]
    let real = ChaosFleet.Configuration(
      name: "smollm2", binary: configuration.binary,
      model: ["--model", configuration.model, "--served-model-name", "smollm2"], prefill: 2, decode: 2,
      workerArguments: common + ["--threads", "1", "--num-blocks", "1500", "--swap-space", "0"])
    let simulated = ChaosFleet.Configuration(
      name: "simulated", binary: configuration.binary, model: ["--simulate", "8b", "--served-model-name", "simulated"],
      prefill: 3, decode: 3, workerArguments: common + ["--num-blocks", "1500", "--swap-space", "0"])
    configuration.report("starting the fleets")
    return try await ChaosFleet.run(real, drain: configuration.faults.drain) { real in
      try await ChaosFleet.run(simulated, drain: configuration.faults.drain) { simulated in
        try await torment([
          (real, Self.realLoad, 120, 16...128), (simulated, Self.simulatedLoad, 400, 32...400),
        ])
      }
    }
  }

  private func torment(
    _ fleets: [(fleet: ChaosFleet, load: ChaosLoad.Configuration, systemWords: Int, answerTokens: ClosedRange<Int>)]
  ) async throws -> ChaosReport {
    var loads: [ChaosLoad] = []
    for (number, (fleet, load, systemWords, answerTokens)) in fleets.enumerated() {
      configuration.report("asking \(fleet.name) for the right answers")
      let calls = ChaosCall.mix(
        model: fleet.name, count: Self.callCount, systemWords: systemWords,
        answerTokens: answerTokens, seed: configuration.faults.seed &+ UInt64(number))
      loads.append(
        ChaosLoad(
          configuration: load, calls: calls, answers: try await rightAnswers(calls, fleet), routers: fleet.transports,
          tally: ChaosTally()))
    }
    let schedule = ChaosSchedule(configuration.faults, groups: fleets.flatMap(\.fleet.groups))
    let targets = fleets.reduce(into: [:]) { all, each in all.merge(each.fleet.targets) { $1 } }
    let director = ChaosDirector(
      targets: targets, drain: configuration.faults.drain, report: configuration.report)
    let end = ContinuousClock.now + .seconds(configuration.faults.duration)
    try await withThrowingTaskGroup(of: Void.self) { group in
      for (number, load) in loads.enumerated() {
        group.addTask { await load.run(until: end, seed: configuration.faults.seed &+ UInt64(1000 * (number + 1))) }
      }
      group.addTask { try await director.run(schedule) }
      try await group.waitForAll()
    }
    configuration.report("looking for leaks")
    var (leaks, moved) = ([String](), 0)
    for each in fleets {
      leaks += await each.fleet.leaks()
      for router in each.fleet.cluster.routers {
        moved += Int(try await each.fleet.cluster.metrics(of: router).value("baton_router_migrations_total") ?? 0)
      }
    }
    return ChaosReport(
      configuration: configuration.faults, schedule: schedule, tallies: loads.map(\.tally.counts), leaks: leaks,
      endedConnections: director.endedConnections.withLock { $0 }, movedRequests: moved)
  }

  /// Through one router, one after the other; each twice, since what is right does not depend on what is cached.
  private func rightAnswers(_ calls: [ChaosCall], _ fleet: ChaosFleet) async throws -> [ChaosAnswer] {
    var answers: [ChaosAnswer] = []
    for call in calls {
      var both: [ChaosAnswer] = []
      for transport in fleet.transports.prefix(2) {
        let last = Lock(ChaosAnswer(samples: call.sampling.n))
        try await ChaosClient(transport: transport, timeout: .seconds(120)).send(call) { answer in
          last.withLock { $0 = answer }
          return true
        }
        both.append(last.withLock { $0 })
      }
      guard both[0] == both[1], both[0].isComplete else {
        throw ServingError(.internalError, "\(fleet.name) gives two answers without any fault: \(both)")
      }
      answers.append(both[0])
    }
    return answers
  }
}

extension ChaosFleet {
  /// What is wrong with workers that should be idle; also with those that do not answer.
  func leaks() async -> [String] {
    var leaks: [String] = []
    for member in cluster.workers {
      do {
        try await RouterClient.with(member.grpc) { worker in
          try await waitUntil("\(member.name) has no active block", timeout: .seconds(60)) {
            let statistics = try await worker.statistics()
            return statistics.activeBlocks == 0 && statistics.runningSequences == 0
              && statistics.waitingSequences == 0
          }
          _ = try await worker.statistics(checksIntegrity: true)
        }
      } catch {
        leaks.append("\(name)/\(member.name): \(ServingError(any: error).message)")
      }
    }
    return leaks
  }
}
