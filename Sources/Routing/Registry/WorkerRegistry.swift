import Directory
import Logging
import ServingTypes

/// The workers that the router may send requests to, from the directory's leases and from a fixed list.
///
/// While the directory is away the last list stands. Any thread may call.
public final class WorkerRegistry: Sendable {
  private struct State {
    var leased: Roster { didSet { all = nil } }
    var fixed: Roster { didSet { all = nil } }
    /// Everyone by id, until something changes: each request asks.
    var all: [RegisteredWorker]?
    var hasAnswered = false
    var isRefreshing = false
    /// When the list was last looked at.
    var heartbeat: ContinuousClock.Instant
  }

  /// Asks the fixed list's workers about themselves; those that don't answer are left out.
  public typealias Describe = @Sendable () async -> [WorkerRecord]

  private let directory: (any BlockDirectory)?
  private let describe: Describe?
  private let configuration: RoutingConfiguration
  private let clock: ServingClock
  private let logger: Logger
  private let state: Lock<State>

  public init(
    directory: (any BlockDirectory)?, configuration: RoutingConfiguration = RoutingConfiguration(),
    describe: Describe? = nil, clock: ServingClock = .continuous, logger: Logger
  ) {
    self.directory = directory
    self.describe = describe
    self.configuration = configuration
    self.clock = clock
    self.logger = logger
    state = Lock(
      State(
        leased: Roster(grace: configuration.leaseGrace), fixed: Roster(grace: configuration.leaseGrace),
        heartbeat: clock.now))
  }

  /// Refreshes the list until the task is cancelled.
  public func run() async {
    while !Task.isCancelled {
      let now = clock.now
      state.withLock { $0.heartbeat = now }
      await refresh()
      do { try await clock.sleep(for: configuration.refreshInterval) } catch { return }
    }
  }

  /// Looks the list up, or waits for whoever does so already: a worker that dies with hundreds of streams causes one look.
  public func refresh() async {
    let isFirst = state.withLock { state in
      defer { state.isRefreshing = true }
      return !state.isRefreshing
    }
    guard isFirst else {
      while state.withLock({ $0.isRefreshing }) {
        do { try await clock.sleep(for: .milliseconds(5)) } catch { return }
      }
      return
    }
    defer { state.withLock { $0.isRefreshing = false } }
    if let directory, let records = try? await directory.workers() {
      let now = clock.now
      let unusable = state.withLock { state in
        let known = state.leased.unusable
        state.leased.merge(records, now: now)
        return state.leased.unusable.subtracting(known)
      }
      for record in records where unusable.contains(record.id) {
        logger.warning(
          "a lease has no usable address",
          metadata: ["worker": "\(record.id)", "address": "\(record.reference.address)"])
      }
    }
    if let describe {
      let records = await describe()
      if Task.isCancelled { return }
      let now = clock.now
      state.withLock { $0.fixed.merge(records, now: now) }
    }
    state.withLock { $0.hasAnswered = true }
  }

  /// Whether `run()` got on within that time; each of its rounds is short, whatever becomes of the directory.
  func isLive(within timeout: Duration) -> Bool {
    let heartbeat = state.withLock { $0.heartbeat }
    return clock.now - heartbeat < timeout
  }

  /// Whether the list was looked up at least once.
  public var isReady: Bool { state.withLock { $0.hasAnswered } }

  /// Everyone known, by id. A lease goes before the fixed list.
  public var workers: [RegisteredWorker] {
    state.withLock { state in
      if let all = state.all { return all }
      let known = state.leased.workers.merging(state.fixed.workers) { leased, fixed in
        leased.isLeased ? leased : fixed
      }
      let all = known.values.sorted { $0.record.id < $1.record.id }
      state.all = all
      return all
    }
  }

  /// Workers that are live, serve decoding and take requests.
  public var liveDecodeWorkers: Int {
    workers.count { $0.isLeased && $0.record.role.servesDecode && !$0.record.isDraining }
  }

  /// What is thought of one life of a worker.
  enum Standing: Hashable, Sendable {
    case good
    /// Suspected, without a lease or unknown.
    case doubtful
    /// Another life of the same worker holds the lease.
    case replaced
  }

  func standing(of reference: WorkerReference) -> Standing {
    let now = clock.now
    return state.withLock { state in
      let (leased, fixed) = (state.leased.workers[reference.id], state.fixed.workers[reference.id])
      guard let worker = leased?.isLeased == true ? leased : fixed ?? leased else { return .doubtful }
      if worker.record.reference.incarnation != reference.incarnation { return worker.isLeased ? .replaced : .doubtful }
      return worker.isDoubtful(at: now) ? .doubtful : .good
    }
  }

  public func suspect(_ reference: WorkerReference) {
    let until = clock.now + configuration.suspicion
    state.withLock { state in
      state.leased.suspect(reference, until: until)
      state.fixed.suspect(reference, until: until)
    }
  }

  public func trust(_ reference: WorkerReference) {
    state.withLock { state in
      // Each request says so, and mostly there is nothing to take back.
      if state.leased.workers[reference.id]?.suspectUntil != nil { state.leased.trust(reference) }
      if state.fixed.workers[reference.id]?.suspectUntil != nil { state.fixed.trust(reference) }
    }
  }
}
