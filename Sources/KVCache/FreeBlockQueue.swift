import ServingTypes

/// The blocks that may be handed out, in the order in which they will be: a doubly linked list over the ids, O(1) in all.
///
/// Empty blocks come first, then cached ones, least recently used first.
/// - SeeAlso: vLLM's `FreeKVCacheBlockQueue`.
public struct FreeBlockQueue {
  private static let absent: BlockID = -1

  /// `next[i]` and `previous[i]`; the last index is the sentinel that closes the ring.
  private var next: [BlockID]
  private var previous: [BlockID]
  private let sentinel: BlockID
  public private(set) var count = 0

  /// A queue of the ids below `blockCount`, all of them absent.
  public init(blockCount: Int) {
    sentinel = BlockID(blockCount)
    next = [BlockID](repeating: Self.absent, count: blockCount + 1)
    previous = next
    next[blockCount] = sentinel
    previous[blockCount] = sentinel
  }

  public var first: BlockID? { count == 0 ? nil : next[Int(sentinel)] }

  /// The id that follows one of the queue's.
  func next(after block: BlockID) -> BlockID? {
    let after = next[Int(block)]
    return after == sentinel || after == Self.absent ? nil : after
  }

  public func contains(_ block: BlockID) -> Bool { next[Int(block)] != Self.absent }

  public mutating func append(_ block: BlockID) { insert(block, after: previous[Int(sentinel)]) }

  public mutating func prepend(_ block: BlockID) { insert(block, after: sentinel) }

  public mutating func insert(_ block: BlockID, before other: BlockID) { insert(block, after: previous[Int(other)]) }

  public mutating func popFirst() -> BlockID? {
    guard let first else { return nil }
    remove(first)
    return first
  }

  public mutating func remove(_ block: BlockID) {
    precondition(contains(block), "block \(block) is not in the free queue")
    let (before, after) = (previous[Int(block)], next[Int(block)])
    next[Int(before)] = after
    previous[Int(after)] = before
    next[Int(block)] = Self.absent
    previous[Int(block)] = Self.absent
    count -= 1
  }

  private mutating func insert(_ block: BlockID, after before: BlockID) {
    precondition(!contains(block), "block \(block) is in the free queue already")
    let after = next[Int(before)]
    next[Int(before)] = block
    previous[Int(after)] = block
    next[Int(block)] = after
    previous[Int(block)] = before
    count += 1
  }

  /// The ids, first to last, or nil when the links contradict each other. For checks; O(n).
  public func orderedBlocks() -> [BlockID]? {
    var blocks: [BlockID] = []
    blocks.reserveCapacity(count)
    var at = next[Int(sentinel)]
    var before = sentinel
    while at != sentinel {
      guard at >= 0, at < sentinel, previous[Int(at)] == before, blocks.count < count else { return nil }
      blocks.append(at)
      before = at
      at = next[Int(at)]
    }
    return blocks.count == count && previous[Int(sentinel)] == before ? blocks : nil
  }
}
