import ServingTypes

/// Which blocks came, went or moved to another tier since somebody last asked. Bounded.
struct CacheChangeLog {
  private var touched: [BlockHash: (block: CachedBlock, wasHeld: Bool)] = [:]
  private let limit: Int
  private var hasOverflowed = false

  init(limit: Int) { self.limit = limit }

  /// Call it before the change.
  ///
  /// - Parameter tier: where the block lies now, if it does.
  mutating func note(_ identity: BlockIdentity, tier: CacheTier?) {
    guard !hasOverflowed, touched[identity.hash] == nil else { return }
    guard touched.count < limit else {
      hasOverflowed = true
      touched.removeAll()
      return
    }
    var block = identity.cachedBlock
    if let tier { block.tier = tier }
    touched[identity.hash] = (block, tier != nil)
  }

  /// What is different now; nil after an overflow.
  mutating func take(tier: (BlockHash) -> CacheTier?) -> CacheChanges? {
    defer {
      touched.removeAll(keepingCapacity: true)
      hasOverflowed = false
    }
    guard !hasOverflowed else { return nil }
    var changes = CacheChanges()
    for (hash, before) in touched {
      var block = before.block
      switch (before.wasHeld, tier(hash)) {
      case (false, nil): break
      case (true, nil): changes.removed.append(block)
      case (let wasHeld, let now?):
        if wasHeld, now == block.tier { continue }
        block.tier = now
        changes.added.append(block)
      }
    }
    changes.added.sort(by: Self.ancestorsFirst)
    changes.removed.sort { Self.ancestorsFirst($1, $0) }
    return changes
  }

  static func ancestorsFirst(_ left: CachedBlock, _ right: CachedBlock) -> Bool {
    (left.depth, left.hash) < (right.depth, right.hash)
  }
}
