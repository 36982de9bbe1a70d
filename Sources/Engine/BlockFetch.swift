import ModelRuntime
import Scheduling
import ServingTypes
import Synchronization

/// Blocks that a request waits for and that other workers hold: whoever takes it asks them, fills the blocks in order and ends
/// it. Gone without an end, it has failed.
///
/// The engine may call it off at any time; it then keeps what was committed and computes the rest.
public final class BlockFetch: Sendable {
  public let requestID: RequestID
  /// The best first.
  public let holders: [BlockHolder]
  /// The place of the first block in its sequence.
  public let firstIndex: Int
  /// What the blocks must prove to be, in order.
  public let hashes: [BlockHash]
  /// The hash before the first one.
  public let parentHash: BlockHash
  /// The engine calls the fetch off then.
  public let deadline: ContinuousClock.Instant
  private let id: UInt64
  private let blocks: [BlockID]
  private let claim: FillClaim
  private let memory: BlockMemory
  private let mailbox: EngineMailbox
  private let hasEnded = Atomic(false)

  init(_ order: FetchOrder, of request: ActiveRequest, root: BlockHash, memory: BlockMemory, mailbox: EngineMailbox) {
    requestID = request.submission.request.id
    holders = request.submission.request.holders
    firstIndex = order.start
    let end = order.start + order.blocks.count
    hashes = Array(order.sequence.hashes[order.start..<end])
    parentHash = order.start == 0 ? root : order.sequence.hashes[order.start - 1]
    deadline = order.deadline
    id = order.id
    blocks = order.blocks
    claim = order.claim
    self.memory = memory
    self.mailbox = mailbox
  }

  deinit { end(FetchReport(failure: .unreachable)) }

  /// Whether nobody waits for the blocks any more.
  public var isCalledOff: Bool { claim.isRevoked }

  /// Lets `body` write to the block at this position, which was not committed.
  ///
  /// - Returns: what `body` returns; nil without a call once the fetch was called off.
  public func fill<Result>(_ position: Int, _ body: (UnsafeMutableRawBufferPointer) -> Result) -> Result? {
    guard claim.begin() else { return nil }
    let result = body(memory.bytes(of: blocks[position]))
    if claim.finish() { end(FetchReport(failure: .unwanted)) }
    return result
  }

  /// The next block is filled and was verified: hash, layout and checksum. Later requests find it at once.
  public func commit(checksum: UInt32) { mailbox.post(.fetched(id, checksum: checksum)) }

  /// Nothing more comes; more calls change nothing.
  public func end(_ report: FetchReport) {
    if !hasEnded.exchange(true, ordering: .acquiringAndReleasing) { mailbox.post(.endFetch(id, report)) }
  }

  /// Returns when the fetch was called off, or the task is cancelled. For one task.
  public func waitUntilCalledOff() async { await claim.waitForRevocation() }
}
