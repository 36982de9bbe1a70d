import ServingTypes

/// Which block holds which tokens, and which blocks somebody is computing or receiving right now.
///
/// A pending entry makes others wait instead of doing the same work (single flight). It goes with its owner's claim:
/// published, or given up, and then whoever comes next takes over.
public struct PrefixCache {
  public enum Entry: Hashable, Sendable {
    case resident(BlockID)
    case pending(owner: UInt64)
  }

  private enum Change {
    case added(CachedBlock)
    case removed(CachedBlock)
  }

  private var entries: [BlockHash: Entry] = [:]
  private var log: [Change] = []
  private let logLimit: Int
  private var hasOverflowed = false
  public private(set) var residentCount = 0
  public private(set) var pendingCount = 0

  public init(logLimit: Int) { self.logLimit = logLimit }

  public subscript(hash: BlockHash) -> Entry? { entries[hash] }

  public func resident(_ hash: BlockHash) -> BlockID? {
    if case .resident(let block) = entries[hash] { block } else { nil }
  }

  /// The blocks of the longest leading run of `hashes` that is resident.
  public func longestPrefix(_ hashes: some Sequence<BlockHash>) -> [BlockID] {
    var blocks: [BlockID] = []
    for hash in hashes {
      guard case .resident(let block) = entries[hash] else { break }
      blocks.append(block)
    }
    return blocks
  }

  /// Whether somebody else is bringing this block in.
  public func isPending(_ hash: BlockHash, besides owner: UInt64) -> Bool {
    if case .pending(let other) = entries[hash] { other != owner } else { false }
  }

  /// Claims those of the hashes that nobody has or claims.
  public mutating func claim(_ hashes: some Sequence<BlockHash>, owner: UInt64) {
    for hash in hashes where entries[hash] == nil {
      entries[hash] = .pending(owner: owner)
      pendingCount += 1
    }
  }

  /// Gives up the owner's claims on these hashes.
  public mutating func disclaim(_ hashes: some Sequence<BlockHash>, owner: UInt64) {
    for hash in hashes where entries[hash] == .pending(owner: owner) {
      entries[hash] = nil
      pendingCount -= 1
    }
  }

  mutating func publish(_ identity: BlockIdentity, block: BlockID) {
    if case .pending = entries.updateValue(.resident(block), forKey: identity.hash) { pendingCount -= 1 }
    residentCount += 1
    record(.added(identity.cachedBlock))
  }

  mutating func withdraw(_ identity: BlockIdentity) {
    entries[identity.hash] = nil
    residentCount -= 1
    record(.removed(identity.cachedBlock))
  }

  private mutating func record(_ change: Change) {
    guard !hasOverflowed else { return }
    if log.count < logLimit {
      log.append(change)
    } else {
      hasOverflowed = true
      log.removeAll()
    }
  }

  /// What changed since the last call, blocks that came and went in between left out; nil after an overflow.
  mutating func takeChanges() -> CacheChanges? {
    defer {
      log.removeAll(keepingCapacity: true)
      hasOverflowed = false
    }
    guard !hasOverflowed else { return nil }
    // A block's changes alternate, so an even number of them is none.
    var net: [CachedBlock: (count: Int, wasAdded: Bool)] = [:]
    for change in log {
      switch change {
      case .added(let block): net[block, default: (0, true)].count += 1
      case .removed(let block): net[block, default: (0, false)].count += 1
      }
    }
    var changes = CacheChanges()
    for (block, change) in net where change.count % 2 == 1 {
      if change.wasAdded { changes.added.append(block) } else { changes.removed.append(block) }
    }
    changes.added.sort(by: Self.ancestorsFirst)
    changes.removed.sort { Self.ancestorsFirst($1, $0) }
    return changes
  }

  static func ancestorsFirst(_ left: CachedBlock, _ right: CachedBlock) -> Bool {
    (left.depth, left.hash) < (right.depth, right.hash)
  }

  /// Every resident hash with its block. For checks; O(n).
  var residents: [(hash: BlockHash, block: BlockID)] {
    entries.compactMap { if case .resident(let block) = $0.value { ($0.key, block) } else { nil } }
  }
}
