import KVCache
import ServingTypes

/// A request: its parallel samples, which share the prompt's blocks.
///
/// The leader computes or receives the prompt; then the group forks, and each sample goes its own way.
public final class SequenceGroup {
  public let key: UInt64
  public let priority: Int
  public let tenant: String
  public let arrival: ContinuousClock.Instant
  /// Leading tokens that all samples share and that a hand-off carries.
  public let prefixCount: Int
  /// The parent of the chain's first block.
  public let root: BlockHash
  /// Its blocks are lent to another worker as they fill: small chunks, and checksums in any case.
  public let isLent: Bool
  /// The logits after each of so many leading tokens are wanted; they can only come from computing these tokens.
  public let promptLogitCount: Int
  /// Leading blocks of the prefix that another worker is believed to hold.
  public let fetchableBlocks: Int
  /// Its prompt's blocks come from another worker.
  public internal(set) var isReceived: Bool
  /// Every sample of the request, by index; empty once the group has ended.
  public internal(set) var sequences: [Sequence] = []
  /// The sample that computes or receives the prompt.
  public internal(set) var leaderIndex = 0
  public internal(set) var isForked = false
  public internal(set) var admitted: ContinuousClock.Instant?
  /// Leading tokens found in the prefix cache when the group was first admitted.
  public internal(set) var cachedCount = 0
  /// Blocks of the prefix that were fetched from other workers, and the time that it waited for them.
  public internal(set) var fetchedBlocks = 0
  public internal(set) var fetchSeconds = 0.0

  /// For a received group: blocks that are promised and not bound yet.
  var promisedBlocks = 0
  public internal(set) var isBound = false
  /// Went back to the queue after it had been admitted.
  var isReturning = false
  /// Waited half of what is allowed.
  var isAged = false
  /// The logits after so many leading tokens have been computed.
  var promptLogitsDone = 0
  /// The tenant's account, from `add` to `end`.
  var share: TenantShare?
  var hasWaitedForOthers = false
  /// Other workers were asked, or it was decided that they are not.
  var hasFetched = false

  /// - Parameters:
  ///   - samples: each sample's tokens, all beginning with the same `prefixCount` ones.
  ///   - finished: samples that had finished when the request came.
  ///   - hashes: of the prefix's full blocks.
  public init(
    key: UInt64, samples: [[TokenID]], finished: Set<Int> = [], prefixCount: Int, hashes: [BlockHash], root: BlockHash,
    priority: Int = 0, tenant: String = "", arrival: ContinuousClock.Instant, isLent: Bool = false,
    isReceived: Bool = false, promptLogitCount: Int = 0, fetchableBlocks: Int = 0
  ) {
    precondition(finished.count < samples.count, "a group needs a sample that runs")
    precondition(promptLogitCount == 0 || !isReceived, "prompt logits come from computing the prompt")
    self.key = key
    self.priority = priority
    self.tenant = tenant
    self.arrival = arrival
    self.prefixCount = prefixCount
    self.root = root
    self.isLent = isLent
    self.isReceived = isReceived
    self.promptLogitCount = promptLogitCount
    self.fetchableBlocks = fetchableBlocks
    for (index, tokens) in samples.enumerated() {
      // Keys ascend with arrival, so that ids do too.
      let sequence = Sequence(
        id: key << 8 | UInt64(index), sample: index, tokens: tokens, hashes: hashes, group: self)
      if finished.contains(index) { sequence.status = .finished }
      sequences.append(sequence)
    }
    leaderIndex = sequences.firstIndex { $0.status != .finished } ?? 0
    isForked = !isReceived && unfinishedCount == 1 && samples.count == 1
  }

  public var leader: Sequence { sequences[leaderIndex] }

  /// Some of the prompt's logits are still to be computed.
  var lacksPromptLogits: Bool { promptLogitsDone < promptLogitCount }

  public var unfinishedCount: Int { sequences.reduce(0) { $0 + ($1.status == .finished ? 0 : 1) } }

  /// Blocks that the shared prefix takes.
  func prefixBlocks(blockSize: Int) -> Int { BlockTable.blockCount(tokens: prefixCount, blockSize: blockSize) }
}
