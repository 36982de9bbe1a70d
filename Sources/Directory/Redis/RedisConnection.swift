import CHiredis
import Glibc
import ServingTypes

/// One connection to Redis, served by a thread of its own that takes all commands that wait, writes them, and then reads
/// all their replies.
///
/// While the server is away each call fails at once with `unavailable`, and the thread tries to connect again, with growing
/// pauses. Any thread may call.
final class RedisConnection: Sendable {
  private let core: Core

  /// - Parameter onChange: called on the connection's thread when the server comes or goes.
  init(
    address: RedisAddress, configuration: RedisConfiguration,
    onChange: @escaping @Sendable (DirectoryHealth) -> Void
  ) throws(ServingError) {
    core = Core(address: address, configuration: configuration, onChange: onChange)
    var thread = pthread_t()
    let argument = Unmanaged.passRetained(core)
    let result = pthread_create(
      &thread, nil,
      { argument in
        guard let argument else { return nil }
        Unmanaged<Core>.fromOpaque(argument).takeRetainedValue().serve()
        return nil
      }, argument.toOpaque())
    guard result == 0 else {
      argument.release()
      throw ServingError(.resourceExhausted, "no thread can be started for the connection to Redis (error \(result))")
    }
    pthread_detach(thread)
  }

  deinit { core.close() }

  var isConnected: Bool { core.state.withLock { $0.phase == .connected } }
  var pendingCommands: Int { core.state.withLock { $0.pendingCommands } }
  var reconnects: Int { core.state.withLock { $0.reconnects } }

  func close() { core.close() }

  /// Sends the commands one after the other and returns a reply for each.
  ///
  /// - Parameter isCancellable: whether the task's cancellation ends the wait; the commands may be executed all the same.
  func execute(
    _ commands: [RedisCommand], isCancellable: Bool = true
  ) async throws(ServingError) -> [RedisReply] {
    if isCancellable, Task.isCancelled { throw ServingError(.cancelled, "the call to Redis was cancelled") }
    let waiter = RedisWaiter()
    try core.submit(RedisJob(commands: commands, waiter: waiter))
    let outcome = await withTaskCancellationHandler {
      await waiter.outcome()
    } onCancel: {
      if isCancellable { waiter.resume(.failure(ServingError(.cancelled, "the call to Redis was cancelled"))) }
    }
    return try outcome.get()
  }

  fileprivate enum Phase: Equatable {
    case connecting
    case connected
    case away(String)
    case closed
  }

  fileprivate struct State {
    var phase = Phase.connecting
    var queue: [RedisJob] = []
    var pendingCommands = 0
    var reconnects = 0
  }

  fileprivate typealias Context = UnsafeMutablePointer<redisContext>

  /// What the thread keeps alive; the connection's end closes it.
  fileprivate final class Core: Sendable {
    let address: RedisAddress
    let configuration: RedisConfiguration
    let onChange: @Sendable (DirectoryHealth) -> Void
    let state = SignalledLock(State())

    init(
      address: RedisAddress, configuration: RedisConfiguration,
      onChange: @escaping @Sendable (DirectoryHealth) -> Void
    ) {
      self.address = address
      self.configuration = configuration
      self.onChange = onChange
    }

    func submit(_ job: RedisJob) throws(ServingError) {
      let refusal = state.withLock { state -> ServingError? in
        switch state.phase {
        case .closed: return ServingError(.unavailable, "the connection to Redis is closed")
        case .away(let reason): return ServingError(.unavailable, "Redis at \(address) is away: \(reason)")
        case .connecting, .connected:
          guard state.pendingCommands + job.commands.count <= configuration.maximumPendingCommands else {
            return ServingError(
              .resourceExhausted, "\(state.pendingCommands) commands wait for Redis at \(address) already")
          }
          state.queue.append(job)
          state.pendingCommands += job.commands.count
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
      for job in abandoned { job.waiter.resume(.failure(Self.closed)) }
    }

    private static var closed: ServingError { ServingError(.unavailable, "the connection to Redis was closed") }

    /// The thread's body.
    func serve() {
      // hiredis writes with write(2): on a lost connection it must return an error, not end the process.
      var signals = sigset_t()
      sigemptyset(&signals)
      sigaddset(&signals, SIGPIPE)
      pthread_sigmask(SIG_BLOCK, &signals, nil)
      var backoff = configuration.minimumBackoff
      while true {
        switch connect() {
        case .success(let context):
          backoff = configuration.minimumBackoff
          guard enter(.connected) else { return redisFree(context) }
          onChange(.connected)
          let reason = exchange(context)
          redisFree(context)
          guard let reason, leave(reason) else { return }
        case .failure(let error):
          guard leave(error.message) else { return }
          let closed = state.wait(timeout: backoff) { $0.phase == .closed ? true : nil }
          if closed == true { return }
          backoff = min(backoff * 2, configuration.maximumBackoff)
        }
      }
    }

    /// - Returns: false when the connection was closed.
    private func enter(_ phase: Phase) -> Bool {
      state.withLock { state in
        guard state.phase != .closed else { return false }
        state.phase = phase
        state.reconnects += 1
        return true
      }
    }

    /// Fails whatever waits; later calls fail at once.
    private func leave(_ reason: String) -> Bool {
      let (isOpen, isNews, abandoned) = state.withLock { state -> (Bool, Bool, [RedisJob]) in
        guard state.phase != .closed else { return (false, false, []) }
        let isNews = state.phase == .connecting || state.phase == .connected
        state.phase = .away(reason)
        return (true, isNews, state.takeQueue())
      }
      let error = ServingError(.unavailable, "Redis at \(address) is away: \(reason)")
      for job in abandoned { job.waiter.resume(.failure(error)) }
      if isNews { onChange(.disconnected(reason: reason)) }
      return isOpen
    }

    private func connect() -> Result<Context, ServingError> {
      let timeout = configuration.connectTimeout.timeval
      let made =
        switch address.endpoint {
        case .tcp(let host, let port): redisConnectWithTimeout(host, Int32(port), timeout)
        case .unix(let path): redisConnectUnixWithTimeout(path, timeout)
        }
      guard let context = made else { return .failure(ServingError(.unavailable, "no memory for a connection")) }
      func refuse(_ reason: String) -> Result<Context, ServingError> {
        redisFree(context)
        return .failure(ServingError(.unavailable, reason))
      }
      guard context.pointee.err == 0 else { return refuse(Self.reason(context)) }
      // Logging in and the first PING belong to connecting: a server that takes connections may still not answer.
      redisSetTimeout(context, timeout)
      var greetings: [RedisCommand] = []
      if let password = address.password {
        greetings.append(address.user.map { RedisCommand("AUTH", $0, password) } ?? RedisCommand("AUTH", password))
      }
      if address.database != 0 { greetings.append(RedisCommand("SELECT", String(address.database))) }
      greetings.append(RedisCommand("PING"))
      for command in greetings {
        guard command.write(to: context), let reply = Self.read(context) else { return refuse(Self.reason(context)) }
        if case .error(let message) = reply { return refuse(message) }
      }
      redisSetTimeout(context, configuration.commandTimeout.timeval)
      if case .tcp = address.endpoint { redisEnableKeepAlive(context) }
      return .success(context)
    }

    /// Serves jobs until the connection breaks or is closed.
    /// - Returns: why it broke; nil when it was closed.
    private func exchange(_ context: Context) -> String? {
      while true {
        let depth = configuration.pipelineDepth
        let taken = state.wait(timeout: nil) { state -> [RedisJob]? in
          if state.phase == .closed { return [] }
          return state.queue.isEmpty ? nil : state.takeJobs(commands: depth)
        }
        guard let jobs = taken, !jobs.isEmpty else { return nil }
        if let reason = run(jobs, on: context) {
          let error = ServingError(.unavailable, "Redis at \(address) went away: \(reason)")
          for job in jobs { job.waiter.resume(.failure(error)) }
          return reason
        }
      }
    }

    /// - Returns: why the connection broke.
    private func run(_ jobs: [RedisJob], on context: Context) -> String? {
      for job in jobs {
        for command in job.commands where !command.write(to: context) { return Self.reason(context) }
      }
      for job in jobs {
        var replies: [RedisReply] = []
        replies.reserveCapacity(job.commands.count)
        for _ in job.commands {
          guard let reply = Self.read(context) else { return Self.reason(context) }
          replies.append(reply)
        }
        job.waiter.resume(.success(replies))
      }
      return nil
    }

    private static func read(_ context: Context) -> RedisReply? {
      var reply: UnsafeMutableRawPointer?
      guard redisGetReply(context, &reply) == REDIS_OK, let reply else { return nil }
      defer { freeReplyObject(reply) }
      return RedisReply(reply.assumingMemoryBound(to: redisReply.self))
    }

    private static func reason(_ context: Context) -> String {
      let text = withUnsafeBytes(of: context.pointee.errstr) { bytes in
        String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
      }
      // What a timeout of the socket is called.
      return text == "Resource temporarily unavailable" ? "no reply in time" : text.isEmpty ? "no reply" : text
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
    while count < queue.count, count == 0 || commands + queue[count].commands.count <= limit {
      commands += queue[count].commands.count
      count += 1
    }
    pendingCommands -= commands
    let jobs = Array(queue[..<count])
    queue.removeFirst(count)
    return jobs
  }
}
