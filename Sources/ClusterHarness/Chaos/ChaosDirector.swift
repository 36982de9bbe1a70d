import ServingTypes

/// Carries a schedule's faults out, and takes them back.
struct ChaosDirector: Sendable {
  let targets: [String: ChaosFleet.Target]
  /// How long a process may take to end after SIGTERM before it counts as hung.
  let drain: Double
  /// Told of everything that is done.
  let report: @Sendable (String) -> Void
  /// Connections that proxies ended.
  let endedConnections = Lock(0)

  init(targets: [String: ChaosFleet.Target], drain: Double, report: @escaping @Sendable (String) -> Void) {
    self.targets = targets
    self.drain = drain
    self.report = report
  }

  /// - Throws: `notFound` for a target that is none, `deadlineExceeded` for a process that does not end or start.
  func run(_ schedule: ChaosSchedule) async throws {
    let start = ContinuousClock.now
    try await withThrowingDiscardingTaskGroup { group in
      for event in schedule.events {
        guard let target = targets[event.target] else { throw ServingError(.notFound, "no target '\(event.target)'") }
        try await Task.sleep(until: start + .seconds(event.at))
        report("\(event.fault.rawValue) \(event.target)")
        group.addTask { try await strike(target, event, until: start + .seconds(event.until)) }
      }
    }
  }

  private func strike(
    _ target: ChaosFleet.Target, _ event: ChaosEvent, until end: ContinuousClock.Instant
  ) async throws {
    let member = target.member
    switch event.fault {
    case .kill:
      member.kill()
      try await member.waitForExit()
      try await Task.sleep(until: end)
      try await begin(member)
    case .terminate:
      member.terminate()
      try await member.waitForExit(timeout: .seconds(drain + 10))
      if let code = member.exitCode, code != 0 {
        throw ServingError(.internalError, "\(event.target) ended with \(code) after SIGTERM")
      }
      try await begin(member)
    case .freeze:
      member.freeze()
      defer { member.thaw() }
      try await Task.sleep(until: end)
    case .cut: try await endConnections(of: target, .close)
    case .reset: try await endConnections(of: target, .reset)
    case .slow: try await change(target, .slow(.seconds(event.delay)), until: end)
    case .stall: try await change(target, .stalled, until: end)
    case .halfOpen:
      try await change(target, .stalled, until: end)
      try await endConnections(of: target, .reset)
    case .flush: try await RedisFlush.run(port: target.port)
    }
  }

  private func begin(_ member: LocalProcess) async throws {
    try member.start()
    try await member.waitUntilReady()
  }

  private func endConnections(of target: ChaosFleet.Target, _ ending: FaultProxy.Ending) async throws {
    let count = try await target.proxy?.end(ending) ?? 0
    endedConnections.withLock { $0 += count }
  }

  private func change(
    _ target: ChaosFleet.Target, _ weather: FaultProxy.Weather, until end: ContinuousClock.Instant
  ) async throws {
    try await target.proxy?.set(weather)
    try await Task.sleep(until: end)
    try await target.proxy?.set(.clear)
  }
}
