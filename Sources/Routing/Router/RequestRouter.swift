import Directory
import Logging
import Observability
import RPC
import ServingTypes

/// Takes clients' requests, sends each where its prefix lies and there is room, and carries it to its end.
///
/// Stateless but for what a restart may lose: the list of workers, and what was routed where. `run()` must be running;
/// any thread may call the rest.
public final class RequestRouter: Sendable {
  private struct State {
    var inFlight = 0
    var isDraining = false
  }

  private let served: [ServedModel]
  private let directory: (any BlockDirectory)?
  private let channels: ChannelPool
  private let configuration: RoutingConfiguration
  private let metrics: RouterMetrics
  private let memory: RoutingMemory
  private let planner: RoutePlanner
  private let watch: StallWatch
  private let promptThreads: PromptThreads
  private let executor: (any TaskExecutor)?
  private let clock: ServingClock
  private let logger: Logger
  private let jobs: AsyncStream<GenerationJob>
  private let jobsInput: AsyncStream<GenerationJob>.Continuation
  private let state = Lock(State())
  /// Given when requests under way can't be finished.
  private let givenUp = Signal()

  public let registry: WorkerRegistry
  /// Of whatever face of the router a request came by.
  public let bodies: BodyBudget

  /// - Parameters:
  ///   - directory: nil to live on `staticWorkers` and the router's own memory alone.
  ///   - staticWorkers: workers to ask about themselves, beside those with a lease.
  ///   - executor: carries the requests; nil is the global one.
  public init(
    models: [ServedModel], directory: (any BlockDirectory)?, staticWorkers: [ServerAddress] = [],
    channels: ChannelPool, configuration: RoutingConfiguration = RoutingConfiguration(),
    executor: (any TaskExecutor)? = nil, metrics registry: MetricsRegistry = MetricsRegistry(),
    logger: Logger = Logger(label: "baton.router"),
    clock: ServingClock = .continuous
  ) {
    served = models
    self.directory = directory
    self.channels = channels
    self.configuration = configuration
    self.executor = executor
    self.logger = logger
    self.clock = clock
    let fixed = StaticWorkers(addresses: staticWorkers, channels: channels, clock: clock)
    let describe: WorkerRegistry.Describe = { await fixed.describe() }
    self.registry = WorkerRegistry(
      directory: directory, configuration: configuration, describe: staticWorkers.isEmpty ? nil : describe,
      clock: clock, logger: logger)
    bodies = BodyBudget(limit: configuration.maximumBodyBytesInFlight)
    promptThreads = PromptThreads(count: configuration.numSchedulerThreads)
    metrics = RouterMetrics(registry: registry)
    memory = RoutingMemory(configuration: configuration)
    planner = RoutePlanner(
      directory: directory, registry: self.registry, memory: memory,
      selector: WorkerSelector(configuration: configuration), metrics: metrics, clock: clock)
    watch = StallWatch(
      registry: self.registry,
      probes: LivenessProbes(channels: channels, timeout: configuration.probeTimeout, clock: clock),
      limit: configuration.streamStallTimeout, clock: clock)
    (jobs, jobsInput) = AsyncStream.makeStream(bufferingPolicy: .bufferingOldest(configuration.maximumInFlight))
    registry.onCollect { [weak self] collector in
      guard let self else { return }
      RouterMetrics.collect(
        collector, inFlight: inFlight, bodyBytes: bodies.used, workers: self.registry.workers,
        directory: directory?.statistics, now: self.clock.now)
    }
  }

  /// Watches the workers and carries the requests, until the task is cancelled; what is under way then is cancelled.
  public func run() async {
    await withDiscardingTaskGroup { group in
      group.addTask { await self.registry.run() }
      group.addTask { await self.watch.run() }
      // Whoever waits where requests come in is not woken on another thread.
      if let executor {
        await withTaskExecutorPreference(executor) {
          for await job in jobs { group.addTask(executorPreference: executor) { await self.serve(job) } }
        }
      } else {
        // A preference for none is not the caller's preference, which tasks inherit.
        for await job in jobs { group.addTask { await self.serve(job) } }
      }
      giveUp()
      group.cancelAll()
    }
  }

  /// Nothing that is under way, or comes yet, will be carried on.
  private func giveUp() {
    givenUp.give()
    jobsInput.finish()
  }

  public var models: [ModelInformation] { served.map(\.information) }
  /// Requests under way.
  public var inFlight: Int { state.withLock { $0.inFlight } }
  public var workers: [RegisteredWorker] { registry.workers }
  public var directoryStatistics: DirectoryStatistics? { directory?.statistics }

  /// The model of that name; the only one for an empty name.
  /// - Throws: `notFound` that names the models there are.
  public func model(_ name: String) throws(ServingError) -> ServedModel {
    try PreparedRequest.model(name, among: served)
  }

  public var isDraining: Bool { state.withLock { $0.isDraining } }

  /// Takes nothing new from now on.
  public func beginDraining() { state.withLock { $0.isDraining = true } }

  /// Takes nothing new and returns when nothing is under way. What is left after `timeout` ends with `unavailable`, and `run()`
  /// with it.
  public func drain(timeout: Duration) async {
    beginDraining()
    await waitUntilIdle(until: clock.now + timeout)
    guard inFlight > 0 else { return }
    logger.warning("gave requests up", metadata: ["requests": "\(inFlight)"])
    giveUp()
    await waitUntilIdle(until: clock.now + Self.farewell)
  }

  /// What clients get to hear that their requests were given up.
  private static let farewell = Duration.seconds(2)

  private func waitUntilIdle(until deadline: ContinuousClock.Instant) async {
    while inFlight > 0, clock.now < deadline {
      do { try await clock.sleep(for: .milliseconds(20)) } catch { return }
    }
  }

  /// Whether the router still looks after its workers: false once its own tasks have stood still for that long.
  public func isLive(within timeout: Duration) -> Bool { registry.isLive(within: timeout) }

  /// Why new requests are not welcome; nil while they are.
  public var unreadyReason: String? {
    if isDraining { return "draining" }
    return registry.liveDecodeWorkers > 0 ? nil : "no decode worker is live"
  }

  /// Routes a request and returns when its first tokens are there.
  ///
  /// - Throws: `invalidArgument` or `notFound` for a request that nobody could serve, `resourceExhausted` with a delay when
  ///   every worker is full, `unavailable` when there is none, and what workers say. Cancelling the task cancels the
  ///   request.
  public func generate(_ request: GenerationRequest) async throws(ServingError) -> RoutedGeneration {
    let start = clock.now
    let prepared = try await admit(request, now: start)
    let (updates, sink) = GenerationUpdates.makeStream(capacity: configuration.updateBacklog)
    guard case .enqueued = jobsInput.yield(GenerationJob(request: prepared, sink: sink)) else {
      state.withLock { $0.inFlight -= 1 }
      metrics.finished(ServingError.Code.unavailable.rawValue, seconds: start.duration(to: clock.now).inSeconds)
      throw shuttingDown
    }
    try await updates.waitForFirst()
    return RoutedGeneration(head: prepared.head, updates: updates)
  }

  /// Routes a request and carries it to its end in the caller's task, which is a queue and a task switch less for each
  /// token than a sequence of its updates; with `deliverNow`, tokens need no task at all.
  ///
  /// - Parameters:
  ///   - deliver: called with each update, one at a time, and with the head beside the first; the request waits for it.
  ///   - deliverNow: may be asked before `deliver` about an update that is not the first, on any thread; must not wait. Where
  ///     it returns false, it has done nothing, and `deliver` gets the update.
  /// - Throws: what `deliver` throws, which ends the request; otherwise as the other `generate`, at any time until the end.
  public func generate(
    _ request: GenerationRequest,
    deliver: @escaping @Sendable (GenerationUpdate, GenerationHead?) async throws -> Void,
    deliverNow: @escaping @Sendable (GenerationUpdate) -> Bool = { _ in false }
  ) async throws {
    let prepared = try await admit(request, now: clock.now)
    let isFirst = Lock(true)
    let delivery = GenerationDelivery(givenUp: givenUp) { update in
      let opens = isFirst.withLock { isFirst in
        defer { isFirst = false }
        return isFirst
      }
      try await deliver(update, opens ? prepared.head : nil)
    } deliverNow: { update in
      !isFirst.withLock(\.self) && deliverNow(update)
    }
    if let failure = await carry(prepared, into: GenerationSink(destination: .delivery(delivery))) {
      if failure.code == .cancelled, let error = delivery.failure { throw error }
      throw failure
    }
  }

  private var shuttingDown: ServingError {
    ServingError(.unavailable, "the router is shutting down", retryAfter: configuration.retryAfter)
  }

  /// The prompt's tokens, as a request with it would have them.
  ///
  /// - Throws: as `generate` for a bad prompt, an unknown model or too many requests under way, of which it is one.
  public func tokenize(
    _ prompt: GenerationRequest.Prompt, model name: String, isPlain: Bool
  ) async throws(ServingError) -> [TokenID] {
    let model = try model(name)
    try admit()
    defer { state.withLock { $0.inFlight -= 1 } }
    return try await promptThreads.run { () throws(ServingError) in try model.tokenize(prompt, isPlain: isPlain) }
  }

  private func admit(
    _ request: GenerationRequest, now start: ContinuousClock.Instant
  ) async throws(ServingError) -> PreparedRequest {
    do throws(ServingError) {
      try admit()
      return try await prepare(request, now: start)
    } catch {
      metrics.finished(error.code.rawValue, seconds: start.duration(to: clock.now).inSeconds)
      throw error
    }
  }

  /// Of an admitted request, whose place is given up where it is no good.
  private func prepare(
    _ request: GenerationRequest, now: ContinuousClock.Instant
  ) async throws(ServingError) -> PreparedRequest {
    let blockSizes = Set(registry.workers.map(\.record.blockSize))
    let make = { @Sendable [served, configuration] () throws(ServingError) -> PreparedRequest in
      // Whoever went away while it waited here shall not hold the others up.
      if Task.isCancelled { throw ServingError(.cancelled, "the request was cancelled") }
      return try PreparedRequest(
        request, models: served, blockSizes: blockSizes, timeout: configuration.requestTimeout, now: now)
    }
    do throws(ServingError) {
      return request.prompt.isQuicklyPrepared ? try make() : try await promptThreads.run(make)
    } catch {
      state.withLock { $0.inFlight -= 1 }
      throw error
    }
  }

  private func admit() throws(ServingError) {
    let refusal = state.withLock { state -> ServingError? in
      if state.isDraining || givenUp.isGiven { return shuttingDown }
      if state.inFlight >= configuration.maximumInFlight {
        return ServingError(
          .resourceExhausted, "\(state.inFlight) requests are under way, which is the limit",
          retryAfter: configuration.retryAfter)
      }
      state.inFlight += 1
      return nil
    }
    if let refusal { throw refusal }
  }

  private func serve(_ job: GenerationJob) async {
    job.sink.finish(throwing: await carry(job.request, into: job.sink))
  }

  /// - Returns: why it did not come to its end.
  private func carry(_ request: PreparedRequest, into sink: GenerationSink) async -> ServingError? {
    let start = clock.now
    let run = GenerationRun(
      request: request, sink: sink, planner: planner, channels: channels, watch: watch,
      configuration: configuration, metrics: metrics, logger: logger, clock: clock)
    var failure = await withTaskGroup(of: ServingError?.self) { group in
      group.addTask { [run] in
        await TraceContext.$current.withValue(request.trace) {
          var run = run
          do throws(ServingError) {
            try await run.run()
            return nil
          } catch { return error }
        }
      }
      group.addTask {
        await sink.waitForCancellation()
        return ServingError(.cancelled, "the client went away")
      }
      let first = await group.next()
      group.cancelAll()
      await group.waitForAll()
      return first ?? nil
    }
    if failure?.code == .cancelled, givenUp.isGiven, !sink.isCancelled {
      failure = ServingError(
        .unavailable, "the router is shutting down and can't finish the request", retryAfter: configuration.retryAfter)
    }
    if let error = failure, error.retryAfter == nil, [.resourceExhausted, .unavailable].contains(error.code) {
      failure?.retryAfter = configuration.retryAfter
    }
    state.withLock { $0.inFlight -= 1 }
    logger.debug(
      "request ended",
      metadata: [
        "request_id": "\(request.id)", "trace_id": "\(request.trace.traceID)",
        "status": "\(failure?.code.rawValue ?? "ok")",
      ])
    metrics.finished(failure?.code.rawValue ?? "ok", seconds: start.duration(to: clock.now).inSeconds)
    return failure
  }
}
