import KVCache
import ModelRuntime
import ServingTypes
import Synchronization

/// One model on one thread: continuous batching over a paged, prefix-cached pool of blocks.
///
/// All methods may be called from any thread. The engine's own thread holds scheduler, blocks and executor.
public final class EngineCore: Sendable {
  public let layout: KVLayout
  public let vocabularySize: Int
  /// Tokens of prompt and output together: the least of the model's, the configuration's and what the pool holds.
  public let maximumContextLength: Int
  public let blockCount: Int
  public let configuration: EngineConfiguration
  /// Blocks to fetch from other workers, for one consumer. What nobody takes is computed in the end.
  public let fetches: AsyncStream<BlockFetch>
  let mailbox: EngineMailbox
  let snapshot: Lock<EngineStatistics>
  private let nextKey = Atomic<UInt64>(1)
  private let thread: Lock<EngineThread>
  private let clock: ServingClock

  /// - Parameters:
  ///   - draftExecutor: runs the draft model, where `specMethod` is `draft`.
  ///   - fileTier: stands in for the file in `offloadDir`, where there is no such folder.
  /// - Throws: `invalidArgument` when a parameter is out of range, the pool is too small for one block, or the draft model does
  ///   not fit the target; `failedPrecondition` when `offloadDir` cannot be written to.
  public init(
    executor: sending any ModelExecutor, draftExecutor: sending (any ModelExecutor)? = nil,
    configuration: EngineConfiguration, fileTier: (any BlockTier)? = nil, clock: ServingClock = .continuous
  ) throws(ServingError) {
    try configuration.validate()
    try Self.validate(draftExecutor, for: executor, configuration)
    layout = executor.layout
    vocabularySize = executor.vocabularySize
    blockCount = executor.memory.blockCount
    maximumContextLength = min(
      executor.maximumContextLength, configuration.maxModelLen ?? Int.max, blockCount * layout.blockSize)
    self.configuration = configuration
    self.clock = clock
    mailbox = EngineMailbox(maxQueuedRequests: configuration.maxQueuedRequests)
    var statistics = EngineStatistics()
    statistics.blockCount = blockCount
    statistics.freeBlocks = blockCount
    snapshot = Lock(statistics)
    statistics.speculation.method = configuration.specMethod
    let tiers = try Self.makeTiers(
      configuration, layout: layout, memory: executor.memory, mailbox: mailbox, fileTier: fileTier)
    let (fetches, fetchInput) = AsyncStream<BlockFetch>.makeStream(
      bufferingPolicy: .bufferingOldest(Self.maxWaitingFetches))
    self.fetches = fetches
    let loop = EngineLoop(
      executor: executor, draftExecutor: draftExecutor, configuration: configuration,
      maximumContextLength: maximumContextLength, mailbox: mailbox, snapshot: snapshot, tiers: tiers,
      clock: clock, fetches: fetchInput)
    thread = Lock(EngineThread(loop: loop))
  }

  deinit { mailbox.post(.abandon) }

  /// Fetches that nobody has taken; the scheduler starts few at once.
  private static let maxWaitingFetches = 64

  /// Starts the engine's own thread; more calls change nothing.
  public func start() { thread.withLock { $0.start() } }

  /// One pass of the loop on the caller's thread, for those who drive an engine by hand and never start it.
  package func turn() -> EngineTurn { thread.withLock { $0.turn() } }

  /// Whether a turn would find something new to do.
  package var hasMail: Bool { mailbox.hasMail }

  /// Cancels what runs and ends the thread. Blocks that others still read are waited for, up to `stopGracePeriod`.
  public func stop() async {
    _ = await withCheckedContinuation { reply in
      if !mailbox.post(.stop(reply)) { reply.resume(returning: .success(())) }
      // A thread that was never started has to be, to refuse what waits in the mailbox; it must find the stop there.
      start()
    }
  }

  /// Admits nothing new; returns when every request has ended and every pin has come back.
  public func drain() async {
    mailbox.stopAdmitting()
    _ = await withCheckedContinuation { reply in
      if !mailbox.post(.drain(reply)) { reply.resume(returning: .success(())) }
    }
  }

  /// Generates from a prompt that is computed here, or found in the prefix cache.
  ///
  /// - Throws: `invalidArgument` on a bad request, `resourceExhausted` when the queue is full, `unavailable`.
  public func generate(_ request: EngineRequest) throws(ServingError) -> GenerationHandle {
    let buffer = GenerationHandle.makeBuffer()
    let lifetime = try submit(request, kind: .generate, sink: .generation(buffer))
    return GenerationHandle(
      id: request.id, sampleCount: request.sampling.n, buffer: buffer, lifetime: lifetime)
  }

  /// Computes the blocks of `request.prefix` beyond `heldBlocks`, lends each as soon as its chunk is done, and draws the
  /// first token of each sample.
  ///
  /// - Throws: as `generate`; `invalidArgument` when `heldBlocks` is more than the prefix has full blocks.
  public func prefill(_ request: EngineRequest, heldBlocks: Int) throws(ServingError) -> PrefillHandle {
    guard heldBlocks >= 0, heldBlocks <= request.prefix.count / layout.blockSize else {
      throw ServingError(
        .invalidArgument,
        "held_blocks is \(heldBlocks); the prompt has \(request.prefix.count / layout.blockSize) full blocks")
    }
    let buffer = PrefillHandle.makeBuffer()
    let lifetime = try submit(request, kind: .prefill(heldBlocks: heldBlocks), sink: .prefill(buffer))
    return PrefillHandle(id: request.id, buffer: buffer, lifetime: lifetime)
  }

  /// Admits a request whose prompt's blocks come from elsewhere.
  ///
  /// - Throws: as `generate`.
  public func receive(_ request: EngineRequest) throws(ServingError) -> ReceiveHandle {
    let buffer = GenerationHandle.makeBuffer()
    let lifetime = try submit(request, kind: .receive, sink: .generation(buffer))
    return ReceiveHandle(
      id: request.id, sampleCount: request.sampling.n, buffer: buffer, lifetime: lifetime)
  }

  /// The longest leading run of `hashes` that is resident, pinned until the loans are released.
  public func lend(_ hashes: [BlockHash]) async -> [BlockLoan] {
    let result: Result<[BlockLoan], ServingError> = await withCheckedContinuation { reply in
      if !mailbox.ask(.lend(hashes, reply)) { reply.resume(returning: .success([])) }
    }
    return result.value(or: [])
  }

  /// What entered and left the prefix cache since the last call, or everything after an overflow of the bounded log.
  public func cacheChanges() async -> CacheChanges {
    let result: Result<CacheChanges, ServingError> = await withCheckedContinuation { reply in
      if !mailbox.ask(.cacheChanges(reply)) { reply.resume(returning: .success(CacheChanges())) }
    }
    return result.value(or: CacheChanges())
  }

  /// As of the last step, or the last turn of the idle loop.
  public var statistics: EngineStatistics { snapshot.withLock { $0 } }

  /// Proves that every block is accounted for.
  ///
  /// - Throws: `internalError` that says what is wrong.
  public func checkIntegrity() async throws(ServingError) {
    let result: Result<Void, ServingError> = await withCheckedContinuation { reply in
      if !mailbox.ask(.checkIntegrity(reply)) { reply.resume(returning: .failure(mailbox.refusal)) }
    }
    try result.get()
  }

  private func submit(
    _ request: EngineRequest, kind: Submission.Kind, sink: Submission.Sink
  ) throws(ServingError) -> RequestLifetime {
    try validate(request, kind: kind)
    let prefix = request.prefix
    let submission = Submission(
      key: nextKey.wrappingAdd(1, ordering: .relaxed).oldValue, request: request, kind: kind, prefix: prefix,
      hashes: BlockHash.chain(tokens: prefix, blockSize: layout.blockSize, salt: request.cacheSalt),
      seed: request.sampling.seed ?? UInt64.random(in: 0...UInt64.max), arrival: clock.now, sink: sink)
    try mailbox.submit(submission)
    return RequestLifetime(key: submission.key, mailbox: mailbox)
  }
}
