import Directory
import ServingTypes

/// A worker as the selector sees it.
public struct WorkerCandidate: Sendable {
  public var record: WorkerRecord
  /// Leading blocks of the prompt that it is believed to hold.
  public var cached: CachedPrefix
  /// Some of them this router routed there itself, and nobody has confirmed that they arrived.
  public var isForeseen: Bool
  /// Leading blocks in its pool that others may fetch: those that the directory knows of, where it does.
  public var lendableBlocks: Int
  /// Blocks beyond its own that it could fetch from another worker; filled in by the selector.
  var fetchableBlocks = 0
  /// This router's own requests that the worker has not reported yet, in blocks …
  public var unreported: InFlightWork
  /// … and all of this router's requests there.
  public var own: InFlightWork
  /// Prompt blocks that this router lately gave it to compute, beyond those of the worker of its role that had the least.
  public var recentBlocks: Double
  /// Unreachable of late, or without a lease: taken only when no other worker is left.
  public var isDoubtful: Bool

  public init(
    record: WorkerRecord, cached: CachedPrefix = CachedPrefix(), isForeseen: Bool = false,
    lendableBlocks: Int? = nil, unreported: InFlightWork = InFlightWork(), own: InFlightWork = InFlightWork(),
    recentBlocks: Double = 0, isDoubtful: Bool = false
  ) {
    self.record = record
    self.cached = cached
    self.isForeseen = isForeseen
    self.lendableBlocks = lendableBlocks ?? cached.device
    self.unreported = unreported
    self.own = own
    self.recentBlocks = recentBlocks
    self.isDoubtful = isDoubtful
  }

  /// Blocks of prompts that other requests still have to compute here.
  var pendingBlocks: Double {
    let reported = Double(record.load.pendingPrefillTokens) / Double(record.blockSize)
    return max(reported + unreported.prefillBlocks, own.prefillBlocks)
  }

  /// Blocks that running requests hold here.
  var activeBlocks: Double {
    max(Double(record.load.activeBlocks) + unreported.activeBlocks, own.activeBlocks)
  }

  func load(_ configuration: RoutingConfiguration) -> Double {
    pendingBlocks + activeLoad(configuration) + waitingLoad(configuration) + recentLoad(configuration)
  }

  /// What a prefill worker holds are the prompts that count as pending.
  func activeLoad(_ configuration: RoutingConfiguration) -> Double {
    record.role == .prefill ? 0 : configuration.activeBlockCost * activeBlocks
  }

  func waitingLoad(_ configuration: RoutingConfiguration) -> Double {
    configuration.waitingSequenceBlocks * Double(record.load.waitingSequences)
  }

  func recentLoad(_ configuration: RoutingConfiguration) -> Double { configuration.recentBlockCost * recentBlocks }

  /// Whether the worker has so much to do that even a cached prompt should go elsewhere.
  func isOverloaded(_ configuration: RoutingConfiguration) -> Bool {
    let share = record.blockCount > 0 ? activeBlocks / Double(record.blockCount) : 0
    return share > configuration.maximumActiveShare || pendingBlocks > configuration.maximumPendingBlocks
  }
}
