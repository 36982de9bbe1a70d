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

  private var entries: [BlockHash: Entry] = [:]
  public private(set) var residentCount = 0
  public private(set) var pendingCount = 0

  public init() {}

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
  }

  mutating func withdraw(_ identity: BlockIdentity) {
    entries[identity.hash] = nil
    residentCount -= 1
  }

  /// Every resident hash with its block. For checks; O(n).
  var residents: [(hash: BlockHash, block: BlockID)] {
    entries.compactMap { if case .resident(let block) = $0.value { ($0.key, block) } else { nil } }
  }
}
