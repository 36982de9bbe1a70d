import KVCache
import Scheduling

/// A snapshot of an engine's gauges and of its counters since the start.
public struct EngineStatistics: Hashable, Sendable {
  /// Upper bounds in seconds of the buckets of `stepSeconds` and `queueSeconds`; a last bucket has no bound.
  public static let histogramBounds: [Double] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30,
  ]

  /// Counts by duration: `counts[i]` fell in bucket i of `histogramBounds`, not cumulated.
  public struct Histogram: Hashable, Sendable {
    public private(set) var counts = [UInt64](repeating: 0, count: EngineStatistics.histogramBounds.count + 1)
    public private(set) var sum = 0.0

    public init() {}

    public mutating func record(_ seconds: Double) {
      counts[EngineStatistics.histogramBounds.firstIndex { seconds <= $0 } ?? counts.count - 1] += 1
      sum += seconds
    }
  }

  // Gauges.
  public var blockCount = 0
  /// Blocks referenced by sequences or pinned by transfers.
  public var activeBlocks = 0
  /// Blocks in the prefix cache that nobody uses now.
  public var cachedBlocks = 0
  public var freeBlocks = 0
  /// The pool's size.
  public var totalBlocks: Int { activeBlocks + cachedBlocks + freeBlocks }
  /// Active blocks that a transfer holds a pin on.
  public var pinnedBlocks = 0
  /// Tokens that the blocks of running sequences have room for, shared blocks counted for each of them.
  public var tableSlots = 0
  /// Those of them that hold no keys and values yet.
  public var emptySlots = 0
  public var runningSequences = 0
  /// The most in one step so far.
  public var mostRunningSequences = 0
  public var waitingSequences = 0
  /// Hand-offs that were admitted and wait for their blocks.
  public var receivingRequests = 0
  /// Tokens of waiting and running sequences that are still to be computed before they can decode.
  public var pendingPrefillTokens = 0

  // Counters.
  public var promptTokens: UInt64 = 0
  public var cachedPromptTokens: UInt64 = 0
  public var computedPromptTokens: UInt64 = 0
  public var generatedTokens: UInt64 = 0
  public var draftedTokens: UInt64 = 0
  public var acceptedTokens: UInt64 = 0
  public var steps: UInt64 = 0
  public var batchedTokens: UInt64 = 0
  public var preemptions: UInt64 = 0
  public var blocksSent: UInt64 = 0
  public var blocksReceived: UInt64 = 0
  public var copyOnWriteCopies: UInt64 = 0
  public var evictions: UInt64 = 0
  /// Requests that waited for a prefix another one was computing or receiving.
  public var singleFlightWaits: UInt64 = 0
  public var requestsAccepted: UInt64 = 0
  public var requestsFinished: UInt64 = 0
  public var requestsCancelled: UInt64 = 0
  public var requestsFailed: UInt64 = 0
  /// Both kinds, of the tiers below the pool.
  public var tiers = TierStatistics()
  public var fetches = FetchStatistics()
  public var speculation = SpeculationStatistics()
  public var stepSeconds = Histogram()
  public var queueSeconds = Histogram()
  /// Set once the engine has stopped by itself, because its books were wrong.
  public var failure: String?
  /// The last sign of life: the end of a step, or a turn of the idle loop.
  public var heartbeat = ContinuousClock.now
  /// What the step under way since then is expected to take, where that is long; else 0.
  public var expectedStepSeconds = 0.0

  public init() {}
}
