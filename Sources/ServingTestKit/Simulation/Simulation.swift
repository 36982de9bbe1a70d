import Engine
import Glibc
import ServingTypes

/// A world of its own on one thread: tasks, engines and time move only here, in an order drawn from a seed.
///
/// Tasks run on the executors of its nodes. One is picked at random among what is ready, an engine's turn included; when nothing
/// is ready, time jumps to the next timer. The same seed gives the same run, step by step.
public final class Simulation: Sendable {
  /// A timer that can be called off.
  public typealias TimerID = Int

  private struct Ready {
    let job: UnownedJob
    let node: Int
  }

  private enum Choice {
    case job(UnownedJob, SimulatedNode)
    case turn(DrivenEngine)
    case timer(@Sendable () -> Void)
    case nothing
  }

  private struct State {
    var now = Simulation.epoch
    var random: SplitMix64
    var ready: [Ready] = []
    /// Jobs of frozen nodes.
    var parked: [Ready] = []
    var nodes: [SimulatedNode] = []
    var timers = TimerQueue()
    var engines: [DrivenEngine] = []
    var thread: pthread_t?
    var digest: UInt64 = 0
    var steps = 0
    var strays = 0
    var stalls = 0
    var onStall: (@Sendable () -> Void)?
    var isFinished = false
  }

  private static let epoch = ContinuousClock.now
  private static let mostSteps = 4_000_000

  private let state: Lock<State>
  private let replay: String

  /// - Parameter replay: says how to run this again; printed where the simulation can't even end.
  public init(seed: UInt64, replay: String) {
    self.replay = replay
    state = Lock(State(random: SplitMix64(seed: seed)))
  }

  // MARK: Time

  public var now: ContinuousClock.Instant { state.withLock { $0.now } }

  /// Since the beginning.
  public var elapsed: Duration { now - Self.epoch }

  public var clock: ServingClock {
    ServingClock(now: { [self] in now }, sleep: { [self] in try await sleep(until: $0) })
  }

  /// Runs `action` at the given time, on no task.
  @discardableResult
  public func schedule(at time: ContinuousClock.Instant, _ action: @escaping @Sendable () -> Void) -> TimerID {
    state.withLock { $0.timers.insert(at: max(time, $0.now), action) }
  }

  /// Runs `action` after the given time, on no task.
  @discardableResult
  public func schedule(after duration: Duration, _ action: @escaping @Sendable () -> Void) -> TimerID {
    state.withLock { $0.timers.insert(at: $0.now + max(.zero, duration), action) }
  }

  /// - Returns: false when it went off already.
  @discardableResult
  public func cancel(_ timer: TimerID) -> Bool { state.withLock { $0.timers.remove(timer) } }

  private func sleep(until time: ContinuousClock.Instant) async throws {
    let sleeper = Lock<(timer: TimerID?, isCancelled: Bool, waiter: CheckedContinuation<Bool, Never>?)>(
      (nil, false, nil))
    let isOver = await withTaskCancellationHandler {
      await withCheckedContinuation { continuation in
        let isCancelled = sleeper.withLock { sleeper in
          if !sleeper.isCancelled { sleeper.waiter = continuation }
          return sleeper.isCancelled
        }
        if isCancelled { return continuation.resume(returning: false) }
        let timer = schedule(at: time) { sleeper.withLock { $0.waiter.take() }?.resume(returning: true) }
        sleeper.withLock { $0.timer = timer }
      }
    } onCancel: {
      let (timer, waiter) = sleeper.withLock { sleeper in
        sleeper.isCancelled = true
        return (sleeper.timer, sleeper.waiter.take())
      }
      if let timer { cancel(timer) }
      waiter?.resume(returning: false)
    }
    if !isOver { throw CancellationError() }
  }

  // MARK: Chance

  /// A number drawn from the seed.
  public func random(below count: Int) -> Int {
    state.withLock { Int.random(in: 0..<max(1, count), using: &$0.random) }
  }

  public func random(in range: ClosedRange<Int>) -> Int { state.withLock { Int.random(in: range, using: &$0.random) } }

  public func random() -> UInt64 { state.withLock { $0.random.next() } }

  /// True once in `count` times on average.
  public func chance(in count: Int) -> Bool { random(below: count) == 0 }

  /// Between the two in microseconds, mostly near the lower one.
  public func random(_ range: ClosedRange<Duration>) -> Duration {
    let (low, high) = (range.lowerBound, range.upperBound)
    let share = Double(random(in: 0...1_000_000)) / 1_000_000
    return low + (high - low) * (share * share)
  }

  // MARK: Who runs

  /// A machine: its tasks and engines stop together when it is frozen.
  public func makeNode() -> SimulatedNode {
    state.withLock { state in
      let node = SimulatedNode(index: state.nodes.count, simulation: self)
      state.nodes.append(node)
      return node
    }
  }

  /// Has the engine's turns taken here until `retire`.
  public func drive(_ engine: EngineCore, on node: SimulatedNode, stepTime: ClosedRange<Duration>) {
    state.withLock { state in
      state.engines.append(DrivenEngine(engine: engine, node: node.index, stepTime: stepTime, now: state.now))
    }
  }

  public func retire(_ engine: EngineCore) { state.withLock { $0.engines.removeAll { $0.engine === engine } } }

  /// Stops a node's tasks and engines, but not its peers, nor time.
  public func freeze(_ node: SimulatedNode) {
    state.withLock { state in
      node.setFrozen(true)
      state.parked += state.ready.filter { $0.node == node.index }
      state.ready.removeAll { $0.node == node.index }
    }
  }

  public func thaw(_ node: SimulatedNode) {
    state.withLock { state in
      node.setFrozen(false)
      state.ready += state.parked.filter { $0.node == node.index }
      state.parked.removeAll { $0.node == node.index }
    }
  }

  /// Of everything that happened so far, in order: equal for equal runs.
  public var digest: UInt64 { state.withLock { $0.digest } }

  public var steps: Int { state.withLock { $0.steps } }

  /// Jobs that came from another thread: something left the simulation, and it can't be replayed.
  public var strays: Int { state.withLock { $0.strays } }

  public func note(_ event: UInt64) { state.withLock { Self.mix(event, into: &$0.digest) } }

  /// Runs `body` on a node of its own to its end, on the calling thread.
  ///
  /// - Parameter onStall: called when nothing can go on any more; it should end what waits. When that does not help, the process
  ///   ends: a task cannot be abandoned.
  public func run<Result: Sendable>(
    _ body: @escaping @Sendable () async -> Result, onStall: @escaping @Sendable () -> Void
  ) async -> Result {
    state.withLock { $0.onStall = onStall }
    return await withTaskExecutorPreference(makeNode()) {
      let result = await body()
      state.withLock { state in
        state.isFinished = true
        state.onStall = nil
      }
      return result
    }
  }

  // MARK: The loop

  func enqueue(_ job: UnownedJob, on node: SimulatedNode) {
    let isFirst = state.withLock { state in
      let ready = Ready(job: job, node: node.index)
      if node.isFrozen { state.parked.append(ready) } else { state.ready.append(ready) }
      if let thread = state.thread {
        if pthread_equal(thread, pthread_self()) == 0 { state.strays += 1 }
        return false
      }
      state.thread = pthread_self()
      return true
    }
    // The task that comes first brings the thread along.
    if isFirst { drain() }
  }

  private func drain() {
    while true {
      let choice = state.withLock { state in Self.choose(&state) }
      switch choice {
      case .job(let job, let node): job.runSynchronously(on: node.asUnownedTaskExecutor())
      case .turn(let engine): take(engine)
      case .timer(let action): action()
      case .nothing:
        let (isOver, onStall) = state.withLock { state in
          // From now on nothing may come; what does finds its own thread.
          if state.isFinished {
            state.thread = nil
            // What they would do holds on to this.
            state.timers = TimerQueue()
          }
          state.stalls += 1
          return (state.isFinished, state.onStall)
        }
        if isOver { return }
        let stalls = state.withLock { $0.stalls }
        precondition(stalls < 100, "the simulation hangs for good; \(replay)")
        onStall?()
      }
    }
  }

  private static func choose(_ state: inout State) -> Choice {
    state.steps += 1
    if state.steps > mostSteps { return .nothing }
    while true {
      let due = state.engines.indices.filter {
        state.engines[$0].isDue(at: state.now) && !isFrozen(state.engines[$0], state)
      }
      let count = state.ready.count + due.count
      if count > 0 {
        let pick = count == 1 ? 0 : Int(state.random.next() % UInt64(count))
        mix(UInt64(pick) << 32 | UInt64(count), into: &state.digest)
        if pick < state.ready.count {
          let ready = state.ready[pick]
          state.ready.swapAt(pick, state.ready.count - 1)
          state.ready.removeLast()
          return .job(ready.job, state.nodes[ready.node])
        }
        return .turn(state.engines[due[pick - state.ready.count]])
      }
      if state.isFinished { return .nothing }
      let turn = state.engines.filter { !isFrozen($0, state) }.compactMap(\.nextTurn).min()
      guard let timer = state.timers.first else {
        guard let turn else { return .nothing }
        state.now = max(state.now, turn)
        continue
      }
      if let turn, turn < timer {
        state.now = max(state.now, turn)
        continue
      }
      state.now = max(state.now, timer)
      mix(UInt64(bitPattern: (state.now - epoch).components.attoseconds), into: &state.digest)
      if let action = state.timers.popFirst() { return .timer(action) }
    }
  }

  private static func isFrozen(_ engine: DrivenEngine, _ state: State) -> Bool { state.nodes[engine.node].isFrozen }

  private func take(_ driven: DrivenEngine) {
    let turn = driven.engine.turn()
    let time = turn == .worked ? random(driven.stepTime) : .zero
    state.withLock { state in driven.took(turn, for: time, now: state.now) }
  }

  private static func mix(_ event: UInt64, into digest: inout UInt64) {
    digest = (digest ^ event) &* 0x100_0000_01B3
    digest ^= digest >> 29
  }
}
