import Glibc
import ServingTypes

/// One connection to Redis, served by a thread of its own that takes all commands that wait, writes them, and then reads
/// all their replies.
///
/// While the server is away each call fails at once with the reason, and the thread tries to connect again, with growing
/// pauses; a master behind sentinels is asked for anew each time. Any thread may call.
final class RedisConnection: Sendable {
  private let core: Core
  private let timeouts: RedisTimeouts

  /// - Parameters:
  ///   - timeouts: ends the waits of callers with a deadline.
  ///   - onLoss: called on the connection's thread when the server goes.
  init(
    target: RedisTarget, login: RedisLogin, configuration: RedisConfiguration, timeouts: RedisTimeouts,
    onLoss: @escaping @Sendable (RedisFailure) -> Void
  ) throws(ServingError) {
    let core = Core(target: target, login: login, configuration: configuration, onLoss: onLoss)
    guard DetachedThread.start({ core.serve() }) else {
      throw ServingError(.resourceExhausted, "no thread can be started for the connection to Redis")
    }
    self.core = core
    self.timeouts = timeouts
  }

  deinit { core.close() }

  var isConnected: Bool { core.state.read { $0.phase == .connected } }
  var pendingCommands: Int { core.state.read { $0.pendingCommands } }
  /// Times that it was opened.
  var openings: Int { core.state.read { $0.openings } }
  /// Times that it was opened to a server other than before, or one that was restarted.
  var possibleLosses: Int { core.state.read { $0.possibleLosses } }

  func close() { core.close() }

  /// Sends the commands one after the other and returns a reply for each.
  func execute(
    _ pipeline: RedisPipeline, patience: RedisPatience = RedisPatience()
  ) async throws(RedisFailure) -> [RedisReply] {
    if patience.isCancellable, Task.isCancelled { throw .cancelled }
    if patience.isOver { throw RedisPatience.exhausted }
    let waiter = RedisWaiter()
    try core.submit(RedisJob(pipeline: pipeline, waiter: waiter))
    if let deadline = patience.deadline { timeouts.end(waiter, at: deadline) }
    let outcome = await withTaskCancellationHandler {
      await waiter.value()
    } onCancel: {
      if patience.isCancellable { waiter.arrive(.failure(.cancelled)) }
    }
    return try outcome.get()
  }

  fileprivate enum Phase: Equatable {
    case connecting
    case connected
    case away(DirectoryFailure, String)
    case closed
  }

  fileprivate struct State {
    var phase = Phase.connecting
    var queue: [RedisJob] = []
    /// While the thread waits, and only then.
    var outlet: RedisOutlet?
    var pendingCommands = 0
    var openings = 0
    var possibleLosses = 0
  }

  /// What the thread keeps alive; the connection's end closes it.
  fileprivate final class Core: Sendable {
    let target: RedisTarget
    let login: RedisLogin
    let configuration: RedisConfiguration
    let onLoss: @Sendable (RedisFailure) -> Void
    let state = SignalledLock(State())

    init(
      target: RedisTarget, login: RedisLogin, configuration: RedisConfiguration,
      onLoss: @escaping @Sendable (RedisFailure) -> Void
    ) {
      self.target = target
      self.login = login
      self.configuration = configuration
      self.onLoss = onLoss
    }

    func submit(_ job: RedisJob) throws(RedisFailure) {
      let refusal = state.withLock { state -> RedisFailure? in
        switch state.phase {
        case .closed: return Self.closed
        case .away(let kind, let reason): return RedisFailure(kind, "Redis at \(target) is away: \(reason)")
        case .connecting, .connected:
          guard state.pendingCommands + job.pipeline.count <= configuration.maximumPendingCommands else {
            return RedisFailure(
              .queueFull, .resourceExhausted, "\(state.pendingCommands) commands wait for Redis at \(target) already")
          }
          var job = job
          // Under the lock, so that the bytes keep the queue's order; it never waits.
          if state.queue.isEmpty, let outlet = state.outlet { job.sentBytes = outlet.send(job.pipeline.bytes) }
          state.queue.append(job)
          state.pendingCommands += job.pipeline.count
          return nil
        }
      }
      if let refusal { throw refusal }
    }

    func close() {
      let abandoned = state.withLock { state -> [RedisJob] in
        state.phase = .closed
        return state.takeQueue()
      }
      for job in abandoned { job.waiter.arrive(.failure(Self.closed)) }
    }

    private static var closed: RedisFailure { RedisFailure(.connection, "the connection to Redis is closed") }

    /// The thread's body.
    func serve() {
      // OpenSSL writes with write(2): on a lost connection it must return an error, not end the process.
      var signals = sigset_t()
      sigemptyset(&signals)
      sigaddset(&signals, SIGPIPE)
      pthread_sigmask(SIG_BLOCK, &signals, nil)
      var dial = RedisDial(target: target, login: login, configuration: configuration)
      var backoff = configuration.minimumBackoff
      while true {
        let loss: RedisFailure
        var jobs: [RedisJob] = []
        do throws(RedisFailure) {
          let link = try dial.open()
          guard enter(possibleLosses: dial.possibleLosses) else { return }
          var hasServed = false
          guard let end = exchange(link, &dial, &hasServed) else { return }
          (loss, jobs) = end
          if hasServed { backoff = configuration.minimumBackoff }
        } catch {
          loss = error
        }
        guard leave(loss, failing: jobs) else { return }
        // After a loss too: a server that takes connections and answers nonsense must not be asked without a pause.
        if state.wait(timeout: backoff, for: { $0.phase == .closed ? true : nil }) == true { return }
        backoff = min(backoff * 2, configuration.maximumBackoff)
      }
    }

    /// - Returns: false when the connection was closed.
    private func enter(possibleLosses: Int) -> Bool {
      state.withLock { state in
        guard state.phase != .closed else { return false }
        state.phase = .connected
        state.openings += 1
        state.possibleLosses = possibleLosses
        return true
      }
    }

    /// Fails `jobs` and whatever waits; later calls fail at once. The loss is told before any caller sees it, so that a
    /// caller's error is never taken for news of a server that is there.
    private func leave(_ loss: RedisFailure, failing jobs: [RedisJob]) -> Bool {
      let reason = loss.error.message
      let kind = loss.kind ?? .connection
      let (isOpen, isNews, abandoned) = state.withLock { state -> (Bool, Bool, [RedisJob]) in
        guard state.phase != .closed else { return (false, false, []) }
        let isNews = state.phase == .connecting || state.phase == .connected
        state.phase = .away(kind, reason)
        return (true, isNews, state.takeQueue())
      }
      if isOpen, isNews { onLoss(loss) }
      let failure = isOpen ? RedisFailure(kind, "Redis at \(target) is away: \(reason)") : Self.closed
      for job in jobs + abandoned { job.waiter.arrive(.failure(failure)) }
      return isOpen
    }

    /// Serves jobs until the connection breaks or is closed.
    /// - Returns: why it broke; nil when it was closed.
    private func exchange(
      _ link: RedisLink, _ dial: inout RedisDial, _ hasServed: inout Bool
    ) -> (RedisFailure, [RedisJob])? {
      let interval = dial.checkInterval
      var nextCheck = ContinuousClock.now + (interval ?? .zero)
      while true {
        let depth = configuration.pipelineDepth
        let wait = interval.map { _ in max(.milliseconds(1), nextCheck - ContinuousClock.now) }
        let taken = state.wait(timeout: wait) { state -> [RedisJob]? in
          state.outlet = nil
          if state.phase == .closed { return [] }
          let jobs = state.queue.isEmpty ? nil : state.takeJobs(commands: depth)
          if jobs == nil { state.outlet = link.outlet }
          return jobs
        }
        if taken == nil { state.withLock { $0.outlet = nil } }
        if let jobs = taken {
          if jobs.isEmpty { return nil }
          do throws(RedisFailure) {
            if let loss = try run(jobs, on: link) { return (loss, []) }
            hasServed = true
          } catch {
            return (error, jobs)
          }
        }
        // After the jobs, which must not wait for sentinels that are slow to answer.
        guard let interval, ContinuousClock.now >= nextCheck else { continue }
        switch dial.check() {
        case .replaced(let loss): return (loss, [])
        case .same: nextCheck = ContinuousClock.now + interval
        case .unanswered: nextCheck = ContinuousClock.now + interval * Self.unansweredIntervals
        }
      }
    }

    /// Until the sentinels are asked again after none of them answered: each time holds up what comes meanwhile.
    private static let unansweredIntervals = 6

    /// - Returns: why the connection should be opened again although all jobs have their replies.
    private func run(_ jobs: [RedisJob], on link: RedisLink) throws(RedisFailure) -> RedisFailure? {
      let deadline = ContinuousClock.now + configuration.commandTimeout
      for job in jobs { try link.send(job.pipeline, from: job.sentBytes, deadline: deadline) }
      var loss: RedisFailure?
      for job in jobs {
        var replies: [RedisReply] = []
        replies.reserveCapacity(job.pipeline.count)
        for _ in 0..<job.pipeline.count {
          let reply = try link.reply(deadline: deadline)
          if case .error(let message) = reply { loss = loss ?? Self.loss(message, target) }
          replies.append(reply)
        }
        job.waiter.arrive(.success(replies))
      }
      return loss
    }

    /// What opening the connection again may mend: another server may be the master by now, or the login have changed.
    private static func loss(_ message: String, _ target: RedisTarget) -> RedisFailure? {
      switch RedisFailure.kind(ofReply: message) {
      case .readOnly, .masterDown: target.mustBeMaster ? RedisFailure(reply: message) : nil
      case .authentication: RedisFailure(reply: message)
      default: nil
      }
    }
  }
}

extension RedisConnection.State {
  fileprivate mutating func takeQueue() -> [RedisJob] {
    defer {
      queue = []
      pendingCommands = 0
    }
    return queue
  }

  /// The jobs at the front, at least one, up to about so many commands.
  fileprivate mutating func takeJobs(commands limit: Int) -> [RedisJob] {
    var commands = 0
    var count = 0
    while count < queue.count, count == 0 || commands + queue[count].pipeline.count <= limit {
      commands += queue[count].pipeline.count
      count += 1
    }
    pendingCommands -= commands
    let jobs = Array(queue[..<count])
    queue.removeFirst(count)
    return jobs
  }
}
