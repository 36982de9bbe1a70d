import KVCache
import ServingTypes

/// One sample of a request: its tokens, and the blocks that hold their keys and values.
public final class Sequence {
  public enum Status: Hashable, Sendable {
    /// Waits for the group's leader to compute the prompt.
    case pending
    case waiting
    case running
    /// Its prompt's blocks come from another worker.
    case receiving
    /// Its next blocks come up from a tier below the pool.
    case loading
    case finished
  }

  /// Unique in its scheduler; also the owner of its claims in the prefix cache.
  public let id: UInt64
  public let sample: Int
  /// Broken when the group ends.
  public internal(set) var group: SequenceGroup
  public internal(set) var status: Status = .pending
  /// Prompt and generated tokens.
  public private(set) var tokens: [TokenID]
  /// Leading tokens whose keys and values are in the blocks.
  public internal(set) var computedCount = 0
  public internal(set) var table = BlockTable()
  /// Hashes of full blocks, as far as they are known.
  public internal(set) var hashes: [BlockHash]
  /// Leading blocks that are sealed.
  public internal(set) var sealedCount = 0
  /// Leading blocks whose hashes are claimed, from `sealedCount` on.
  var claimedEnd = 0
  /// Proposed for the next step; the scheduler may take fewer.
  public var drafts: [TokenID] = []
  public internal(set) var preemptions = 0
  /// The block that somebody else is bringing in, while this sequence waits for it.
  var awaited: BlockHash?
  var scheduledStep: UInt64 = 0
  /// Since when it waits in the queue.
  var queuedSince: ContinuousClock.Instant
  /// Its step had no tokens left for a prompt that goes into one step whole, and others went past it.
  var overtakenCount = 0
  /// Scratch of `FairShare`.
  var isPlanned = false
  /// While it waits for blocks from the tiers.
  var loading: LoadProgress?
  /// Such waits since it last ran.
  var loadTurns: UInt32 = 0

  init(id: UInt64, sample: Int, tokens: [TokenID], hashes: [BlockHash], group: SequenceGroup) {
    self.id = id
    self.sample = sample
    self.tokens = tokens
    self.hashes = hashes
    self.group = group
    queuedSince = group.arrival
  }

  public func append(_ token: TokenID) { tokens.append(token) }

  /// Tokens whose keys and values are still to be computed.
  public var remainingCount: Int { tokens.count - computedCount }

  /// Where the next logits are wanted. Before the fork the prefix is computed alone, so that samples share nothing else.
  var nextStop: Int { group.isForked ? tokens.count : min(tokens.count, group.prefixCount) }

  /// Runs one token at a time, plus drafts.
  public var isDecoding: Bool { remainingCount == 1 && group.isForked && !group.isLent }

  /// Whether this sequence goes before the other among the running ones.
  func outranks(_ other: Sequence) -> Bool {
    // Whoever waited long is not preempted for those that come after.
    if group.isAged != other.group.isAged { return group.isAged }
    if group.isAged { return id < other.id }
    if group.priority != other.group.priority { return group.priority > other.group.priority }
    return id < other.id
  }
}
