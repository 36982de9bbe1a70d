import Directory
import GRPCCore
import Logging
import Observability
import RPC
import ServingProtos
import ServingTypes

/// Takes one request to its end, over as many workers as that needs.
struct GenerationRun {
  let request: PreparedRequest
  let sink: GenerationSink
  let planner: RoutePlanner
  let channels: ChannelPool
  let watch: StallWatch
  let configuration: RoutingConfiguration
  let metrics: RouterMetrics
  let logger: Logger
  let clock: ServingClock

  private let start: ContinuousClock.Instant
  private var routingSeconds: Double?
  private let stream: DecodeStream
  private var chains: RoutePlanner.Chains
  private var excluded: Set<WorkerReference> = []
  private var budget: ReopeningBudget
  /// When the request was left without a worker after its stream died.
  private var stranded: ContinuousClock.Instant?
  private var layout: String?

  init(
    request: PreparedRequest, sink: GenerationSink, planner: RoutePlanner, channels: ChannelPool,
    watch: StallWatch, configuration: RoutingConfiguration, metrics: RouterMetrics, logger: Logger,
    clock: ServingClock
  ) {
    self.request = request
    self.sink = sink
    self.planner = planner
    self.channels = channels
    self.watch = watch
    budget = ReopeningBudget(configuration)
    self.configuration = configuration
    self.metrics = metrics
    self.logger = logger
    self.clock = clock
    start = clock.now
    stream = DecodeStream(request)
    chains = RoutePlanner.Chains(request)
  }

  mutating func run() async throws(ServingError) {
    var failure: ServingError?
    while true {
      guard let decision = await plan() else {
        try await waitForWorkers(after: failure)
        continue
      }
      guard let error = await attempt(decision) else { return try await sink.send(summary(decision)) }
      // The client lacks what nobody would send again.
      guard stream.isDelivered else { throw error }
      // Everything was delivered; only the summary is missing.
      if stream.progress.isComplete { return try await sink.send(summary(decision)) }
      // One that refused it, or that another life has taken the place of, has not helped.
      if stream.isAccepted, error.code != .failedPrecondition, error.code != .resourceExhausted { stranded = nil }
      try await recover(from: error, decision)
      failure = error
    }
  }

  private mutating func plan() async -> RoutingDecision? {
    let progress = stream.progress
    let query = SelectionQuery(
      model: request.model, tokens: request.prompt.count + progress.longestSample,
      requiredLayout: progress.hasTokens ? layout : nil, excluded: excluded,
      computesWholePrompt: progress.missingPromptLogprobs > 0)
    return await planner.plan(query, chains: &chains)
  }

  /// - Returns: what ended the stream early.
  private mutating func attempt(_ decision: RoutingDecision) async -> ServingError? {
    let worker = decision.decode
    let progress = stream.progress
    layout = worker.layoutDigest
    if routingSeconds == nil { routingSeconds = request.arrival.duration(to: clock.now).inSeconds }
    let hashes = chains.chain(blockSize: worker.blockSize)
    metrics.decided(decision, promptBlocks: hashes.count)
    let memory = planner.memory
    let tickets = memory.begin(
      decision, tokens: request.prompt.count + progress.longestSample, hashes: hashes, now: clock.now)
    defer { memory.end(tickets) }
    let told =
      configuration.mutants.contains(.forgetMovedTokens) ? GenerationProgress(samples: request.sampling.n) : progress
    let message = Baton_V1_DecodeRequest(request, progress: told, decision: decision)
    let isFirstOfAll = !progress.hasTokens
    let onFirst: @Sendable () -> Void = { [planner, metrics, start, clock] in
      memory.finishPrefill(tickets)
      planner.registry.trust(worker.reference)
      if isFirstOfAll { metrics.sawFirstToken(seconds: start.duration(to: clock.now).inSeconds) }
    }
    let onPrefillFailure: @Sendable (PrefillFailure) -> Void = { [self] in noteFailure($0) }
    stream.begin()
    do {
      let address = try ServerAddress(worker.reference.address)
      let silence = StreamSilence(clock: clock)
      try await withThrowingTaskGroup(of: Void.self) { [metrics, watch, channels, stream, request, sink] group in
        group.addTask {
          do {
            try await watch.watch(silence, of: worker.reference, at: address, until: request.deadline)
          } catch let error as ServingError {
            if error.code == .unavailable { metrics.stalledStream() }
            throw error
          }
        }
        group.addTask {
          try await channels.withClient(of: address, for: .tokens) { client in
            try await withCallDeadline(request.deadline) {
              try await stream.run(
                message, on: client, into: sink, silence: silence, onFirst: onFirst,
                onPrefillFailure: onPrefillFailure)
            }
          }
        }
        defer { group.cancelAll() }
        try await group.next()
      }
      return nil
    } catch {
      return Self.servingError(error)
    }
  }

  /// What is wrong with a prefill worker concerns all requests; that it is full, this one alone.
  private func noteFailure(_ failure: PrefillFailure) {
    metrics.prefillFailed(failure)
    if failure.code != .resourceExhausted { planner.registry.suspect(failure.worker) }
    logger.warning(
      "a prefill worker failed",
      metadata: [
        "request_id": "\(request.id)", "worker": "\(failure.worker.id)", "code": "\(failure.code.rawValue)",
        "error": "\(failure.reason)",
      ])
  }

  /// - Throws: the error that ends the request.
  private mutating func recover(from error: ServingError, _ decision: RoutingDecision) async throws(ServingError) {
    let worker = decision.decode.reference
    // A call can't end before its deadline of its own accord, so that is the client's.
    if request.deadline <= clock.now { throw ServingError(.deadlineExceeded, "the request's deadline has passed") }
    // What failed or refused it long ago may have recovered.
    if budget.note(delivered: stream.progress.completionTokens) { (excluded, stranded) = ([], nil) }
    excluded.insert(worker)
    switch AttemptFailure(error, isCancelledHere: Task.isCancelled || sink.isCancelled) {
    case .fatal: throw error
    case .refused:
      metrics.refused()
      // A request that moved waits for room as long as for a worker: `migrationWait`.
      if !stream.progress.hasTokens, !budget.refuse() { throw overloaded(error) }
    case .moved:
      planner.registry.suspect(worker)
      guard budget.move() else { throw givenUp(after: error) }
      metrics.migrated()
      await planner.registry.refresh()
    case .lost:
      metrics.lostStream()
      logger.warning(
        "lost a stream",
        metadata: [
          "request_id": "\(request.id)", "worker": "\(worker.id)", "error": "\(error)",
          "delivered_tokens": "\(stream.progress.completionTokens)",
        ])
      planner.registry.suspect(worker)
      // Workers that failed are tried again as the last resort. One that cannot even be reached costs time then, which
      // `migrationWait` bounds, and no try: it may be about to come back.
      if stranded == nil {
        guard budget.migrate() else { throw givenUp(after: error) }
        metrics.migrated()
      }
      // The worker may have come back in a new incarnation.
      await planner.registry.refresh()
      try await pause(configuration.reopenDelay * budget.recentMigrations)
    }
  }

  /// There is no worker for the request, or none that has not failed it.
  private mutating func waitForWorkers(after failure: ServingError?) async throws(ServingError) {
    guard let failure else {
      let contexts = planner.registry.workers.map(\.record)
        .filter { $0.model == request.model && $0.role.servesDecode && !$0.isDraining }.map(\.maximumModelLength)
      if let longest = contexts.max(), request.prompt.count >= longest {
        throw ServingError(
          .invalidArgument,
          "the prompt has \(request.prompt.count) tokens; the workers of '\(request.model)' hold \(longest) tokens, and "
            + "at least one of them is for the answer")
      }
      throw ServingError(
        .unavailable, "no live decode worker serves the model '\(request.model)'",
        retryAfter: configuration.retryAfter)
    }
    if failure.code == .resourceExhausted, !stream.progress.hasTokens { throw overloaded(failure) }
    let now = clock.now
    if request.deadline <= now { throw ServingError(.deadlineExceeded, "the request's deadline has passed") }
    let since = stranded ?? now
    stranded = since
    guard since.duration(to: now) < configuration.migrationWait else {
      throw ServingError(
        .unavailable, "no other worker can take the request over: \(failure.message)",
        retryAfter: configuration.retryAfter)
    }
    // The last resort: those that failed may have recovered.
    excluded.removeAll()
    try await pause(max(.milliseconds(50), configuration.reopenDelay))
    await planner.registry.refresh()
  }

  private func givenUp(after error: ServingError) -> ServingError {
    ServingError(
      .unavailable,
      "gave up after \(budget.recentMigrations + 1) workers in a row, and \(budget.migrations + 1) in all, failed; the last one"
        + " said: \(error.message)",
      retryAfter: configuration.retryAfter)
  }

  private func overloaded(_ error: ServingError) -> ServingError {
    ServingError(
      .resourceExhausted, "every worker is at its limit: \(error.message)",
      retryAfter: error.retryAfter ?? configuration.retryAfter)
  }

  private func pause(_ duration: Duration) async throws(ServingError) {
    do {
      try await clock.sleep(for: duration)
    } catch {
      throw ServingError(.cancelled, "the request was cancelled")
    }
  }

  /// The last update.
  private func summary(_ decision: RoutingDecision) -> GenerationUpdate {
    var update = stream.summary
    let cached = min(request.prompt.count, update.usage?.cachedTokens ?? 0)
    // Counted here, since no worker has seen the whole of a request that moved.
    update.usage = GenerationUsage(
      promptTokens: request.prompt.count, completionTokens: stream.progress.completionTokens, cachedTokens: cached)
    update.timeline?.routingSeconds = routingSeconds ?? 0
    if let route = update.route {
      metrics.reused(tokens: route.decodeCachedTokens, blockSize: decision.decode.blockSize)
    }
    var route = update.route ?? GenerationRoute(decode: decision.decode.reference)
    route.migrations = budget.migrations
    route.prefillFailures = stream.prefillFailures
    route.candidates = request.explain ? decision.costs : []
    update.route = route
    return update
  }

  static func servingError(_ error: any Error) -> ServingError {
    // What libgrpc calls a stream whose connection broke.
    if let error = error as? RPCError, error.code == .unknown { return ServingError(.unavailable, error.message) }
    return ServingError(any: error)
  }
}
