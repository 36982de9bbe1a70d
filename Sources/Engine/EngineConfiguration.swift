import Scheduling
import ServingTypes
import SpeculativeDecoding

/// The engine's parameters, named as in docs/design.md section 7.
public struct EngineConfiguration: Sendable {
  /// Keep full blocks after their request ended and reuse them by hash.
  public var enablePrefixCaching: Bool
  /// Sequences in flight; each parallel sample is one.
  public var maxNumSeqs: Int
  /// Longest context in tokens; nil is the model's. Never above what the pool holds.
  public var maxModelLen: Int?
  /// Tokens of one step, decode tokens, drafts and prefill chunks together.
  public var maxNumBatchedTokens: Int
  /// Prefill tokens of one step.
  public var maxPrefillTokens: Int
  /// Tokens of one sequence's chunk.
  public var prefillChunkSize: Int
  /// Tokens of a chunk whose blocks are lent to another worker: the smaller, the earlier its blocks leave.
  public var handoffChunkSize: Int
  /// Off: a prompt goes into one step whole, unless it is longer than `maxNumBatchedTokens`.
  public var enableChunkedPrefill: Bool
  /// Chunks are shortened to it by measured cost; zero is off.
  public var targetStepTime: Duration
  /// A request that waited half of it goes first under every policy; one that waited all of it is refused.
  public var maxQueueWait: Duration
  /// Requests that were accepted and do not run yet; one more is refused at once.
  public var maxQueuedRequests: Int
  public var batchSchedulerPolicy: BatchSchedulerPolicy
  /// How tenants share the queue.
  public var fairSharePolicy: FairSharePolicy
  /// Least time between the starts of two steps; zero does not wait.
  public var schedulingInterval: Duration
  /// How long an idle engine waits for company after a request arrived.
  public var batchMergeWindow: Duration
  public var enableSpecDecode: Bool
  /// Where drafts come from; `draft` needs a draft model's executor.
  public var specMethod: SpeculationMethod
  /// Draft tokens of one sequence in one step at most.
  public var numSpeculativeTokens: Int
  /// Fewer drafts, down to none, where measured acceptance and step times say that they do not pay; off: always as many.
  public var adaptsDraftLength: Bool
  /// Prove on every change to idle that no block leaked; a leak stops the engine.
  public var checkIntegrityOnIdle: Bool
  /// Entries of the log that `cacheChanges()` reads; more changes between two calls give a resync.
  public var cacheLogLimit: Int
  /// Bytes of host memory for copies of blocks that the pool has no room for, committed as they are used; 0: none.
  public var swapSpace: Int
  /// Folder of the file below host memory; nil: none.
  public var offloadDir: String?
  /// The file's size at most.
  public var offloadSpace: Int
  /// Threads that copy blocks between the pool and what lies below it.
  public var offloadNumThreads: Int
  /// Share of the pool (and of host memory, where a file lies below it) that may hold what is stored nowhere else before
  /// unused blocks are copied down in the background.
  public var offloadThreshold: Double
  /// Blocks of one sequence that are on their way up at once.
  public var prefetchBlocks: Int
  /// Fetch prefix blocks that a request says other workers hold, where that is estimated to be faster than computing them.
  public var enableBlockFetch: Bool
  /// Fewer blocks are not worth asking for.
  public var fetchMinBlocks: Int
  /// Bytes a second that blocks are assumed to come at before any came.
  public var fetchBandwidth: Int
  /// A fetch is waited for at least so long, and otherwise for twice what it is estimated to take.
  public var fetchTimeout: Duration
  /// Gives every sequence the blocks of the longest context at once, as a contiguous cache does: what paging is compared
  /// with. It excludes prefix cache, tiers, parallel samples and hand-offs.
  public var reservesLongestContext: Bool
  /// How long `stop()` waits for blocks that others still read.
  public var stopGracePeriod: Duration
  /// Empty but in tests.
  package var mutants: Mutants = []

  public init(
    enablePrefixCaching: Bool = true, maxNumSeqs: Int = 128, maxModelLen: Int? = nil, maxNumBatchedTokens: Int = 8192,
    maxPrefillTokens: Int = 8192, prefillChunkSize: Int = 1024, handoffChunkSize: Int = 256,
    enableChunkedPrefill: Bool = true, targetStepTime: Duration = .milliseconds(50),
    maxQueueWait: Duration = .seconds(30), maxQueuedRequests: Int = 1024,
    batchSchedulerPolicy: BatchSchedulerPolicy = .fifo, fairSharePolicy: FairSharePolicy = .none,
    schedulingInterval: Duration = .zero, batchMergeWindow: Duration = .zero, enableSpecDecode: Bool = true,
    specMethod: SpeculationMethod = .ngram, numSpeculativeTokens: Int = 4, adaptsDraftLength: Bool = true,
    checkIntegrityOnIdle: Bool = false, cacheLogLimit: Int = 16384, swapSpace: Int = 0,
    offloadDir: String? = nil, offloadSpace: Int = 16 << 30, offloadNumThreads: Int = 2,
    offloadThreshold: Double = 0.8, prefetchBlocks: Int = 4, enableBlockFetch: Bool = true, fetchMinBlocks: Int = 4,
    fetchBandwidth: Int = 256 << 20, fetchTimeout: Duration = .milliseconds(500),
    reservesLongestContext: Bool = false, stopGracePeriod: Duration = .seconds(5)
  ) {
    self.enablePrefixCaching = enablePrefixCaching
    self.maxNumSeqs = maxNumSeqs
    self.maxModelLen = maxModelLen
    self.maxNumBatchedTokens = maxNumBatchedTokens
    self.maxPrefillTokens = maxPrefillTokens
    self.prefillChunkSize = prefillChunkSize
    self.handoffChunkSize = handoffChunkSize
    self.enableChunkedPrefill = enableChunkedPrefill
    self.targetStepTime = targetStepTime
    self.maxQueueWait = maxQueueWait
    self.maxQueuedRequests = maxQueuedRequests
    self.batchSchedulerPolicy = batchSchedulerPolicy
    self.fairSharePolicy = fairSharePolicy
    self.schedulingInterval = schedulingInterval
    self.batchMergeWindow = batchMergeWindow
    self.enableSpecDecode = enableSpecDecode
    self.specMethod = specMethod
    self.numSpeculativeTokens = numSpeculativeTokens
    self.adaptsDraftLength = adaptsDraftLength
    self.checkIntegrityOnIdle = checkIntegrityOnIdle
    self.cacheLogLimit = cacheLogLimit
    self.swapSpace = swapSpace
    self.offloadDir = offloadDir
    self.offloadSpace = offloadSpace
    self.offloadNumThreads = offloadNumThreads
    self.offloadThreshold = offloadThreshold
    self.prefetchBlocks = prefetchBlocks
    self.enableBlockFetch = enableBlockFetch
    self.fetchMinBlocks = fetchMinBlocks
    self.fetchBandwidth = fetchBandwidth
    self.fetchTimeout = fetchTimeout
    self.reservesLongestContext = reservesLongestContext
    self.stopGracePeriod = stopGracePeriod
  }

  /// Whether any drafts are made at all.
  public var speculates: Bool { enableSpecDecode && numSpeculativeTokens > 0 }
}
