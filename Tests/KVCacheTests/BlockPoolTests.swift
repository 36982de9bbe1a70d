import KVCache
import ServingTestKit
import ServingTypes
import Testing

@Suite struct BlockPoolTests {
  /// Seals the blocks of a table as a chain of their own.
  private func seal(_ pool: inout BlockPool, _ table: inout BlockTable, chain: Int, from start: Int = 0) -> [BlockHash]
  {
    let hashes = hashes(chain, table.count)
    for index in start..<table.count {
      let kept = pool.seal(table[index], as: identity(hashes, index), checksum: UInt32(index))
      if kept != table[index] { pool.replace(&table, at: index, with: kept) }
    }
    return hashes
  }

  private func hashes(_ chain: Int, _ count: Int) -> [BlockHash] {
    BlockHash.chain(tokens: (0..<count).map { TokenID($0 + chain * 1000) }, blockSize: 1, salt: "")
  }

  private func identity(_ hashes: [BlockHash], _ index: Int) -> BlockIdentity {
    BlockIdentity(
      hash: hashes[index], parent: index == 0 ? BlockHash.root(salt: "", blockSize: 1) : hashes[index - 1],
      chain: hashes[0], depth: index)
  }

  private func check(_ pool: BlockPool, _ tables: [BlockTable], pins: Int = 0) throws {
    var references = [Int](repeating: 0, count: pool.blockCount)
    for table in tables { for block in table.blocks { references[Int(block)] += 1 } }
    try pool.checkIntegrity(references: references, pins: pins)
  }

  @Test func allocatesAllOrNothing() throws {
    var pool = BlockPool(blockCount: 4)
    var (first, second) = (BlockTable(), BlockTable())
    #expect(pool.grow(&first, to: 3))
    #expect(!pool.grow(&second, to: 2))
    #expect(second.isEmpty)
    #expect(pool.grow(&second, to: 1))
    #expect(pool.allocate() == nil)
    try check(pool, [first, second])
    pool.release(&first)
    pool.release(&second)
    #expect(pool.freeCount == 4)
    try check(pool, [])
  }

  @Test func emptyBlocksGoBeforeCachedOnesAndTheTailOfAChainBeforeItsHead() throws {
    var pool = BlockPool(blockCount: 6)
    var (cached, empty) = (BlockTable(), BlockTable())
    #expect(pool.grow(&cached, to: 4) && pool.grow(&empty, to: 2))
    let chain = seal(&pool, &cached, chain: 1)
    let blocks = cached.blocks
    pool.release(&cached)
    pool.release(&empty)
    #expect((pool.cachedCount, pool.freeCount) == (4, 2))
    var taken = BlockTable()
    #expect(pool.grow(&taken, to: 2))
    #expect(Set(taken.blocks).isDisjoint(with: blocks))
    for depth in (0..<4).reversed() {
      #expect(pool.grow(&taken, to: taken.count + 1))
      #expect(pool.cache.longestPrefix(chain) == Array(blocks[..<depth]))
    }
    #expect(pool.evictions == 4)
    try check(pool, [taken])
  }

  /// Whatever the order in which pins come back, no block is evicted before one that continues it.
  @Test(arguments: 0..<20) func evictionFollowsTheChainWhateverTheOrderOfRelease(seed: Int) throws {
    var random = SplitMix64(seed: UInt64(seed))
    var pool = BlockPool(blockCount: 12)
    var tables = [BlockTable(), BlockTable()]
    var chains: [[BlockHash]] = []
    for index in 0..<2 {
      #expect(pool.grow(&tables[index], to: 6))
      chains.append(seal(&pool, &tables[index], chain: index))
    }
    let blocks = tables.flatMap(\.blocks)
    for block in blocks { pool.pin(block) }
    pool.release(&tables[0])
    pool.release(&tables[1])
    try check(pool, [], pins: 12)
    for (left, block) in blocks.shuffled(using: &random).enumerated() {
      pool.unpin(block)
      try check(pool, [], pins: 11 - left)
      #expect(pool.misplacedBlock == nil)
    }
    while pool.cachedCount > 0 {
      _ = pool.allocate()
      for chain in chains {
        let resident = chain.map { pool.cache.resident($0) != nil }
        #expect(resident == resident.sorted { $0 && !$1 })
      }
    }
  }

  @Test func aBlockSealedTwiceIsKeptOnce() throws {
    var pool = BlockPool(blockCount: 6)
    var (first, second) = (BlockTable(), BlockTable())
    #expect(pool.grow(&first, to: 3) && pool.grow(&second, to: 3))
    _ = seal(&pool, &first, chain: 1)
    _ = seal(&pool, &second, chain: 1)
    #expect(first.blocks == second.blocks)
    #expect(pool.freeCount == 3)
    #expect(pool[first[1]].checksum == 1)
    try check(pool, [first, second])
  }

  @Test func copyOnWrite() throws {
    var pool = BlockPool(blockCount: 4)
    var (first, second) = (BlockTable(), BlockTable())
    #expect(pool.grow(&first, to: 2))
    pool.append(first.blocks, to: &second)
    #expect(pool.isShared(first, at: 1))
    let copy = try #require(pool.copyOnWrite(&second, at: 1))
    #expect(copy == BlockCopy(source: first[1], destination: second[1]))
    #expect(!pool.isShared(first, at: 1) && !pool.isShared(second, at: 1))
    #expect(pool.isShared(second, at: 0))
    pool.pin(first[1])
    #expect(pool.isShared(first, at: 1))
    _ = pool.allocate()
    #expect(pool.copyOnWrite(&second, at: 0) == nil)
    try #require(pool[first[0]].referenceCount == 2)
  }

  @Test func aPinnedBlockIsNotReused() throws {
    var pool = BlockPool(blockCount: 2)
    var table = BlockTable()
    #expect(pool.grow(&table, to: 1))
    let block = table[0]
    pool.pin(block)
    pool.pin(block)
    pool.release(&table)
    #expect(pool[block].state == .active)
    #expect(pool.allocate() != block)
    #expect(pool.allocate() == nil)
    pool.unpin(block)
    #expect(pool.allocate() == nil)
    pool.unpin(block)
    #expect(pool.allocate() == block)
  }

  @Test func claimsPassOn() {
    var pool = BlockPool(blockCount: 4)
    let chain = hashes(1, 4)
    pool.claim(chain, owner: 1)
    pool.claim(chain, owner: 2)
    #expect(pool.cache.pendingCount == 4)
    #expect(pool.cache.isPending(chain[0], besides: 2) && !pool.cache.isPending(chain[0], besides: 1))
    pool.disclaim(chain, owner: 2)
    #expect(pool.cache.pendingCount == 4)
    pool.disclaim(chain, owner: 1)
    #expect(pool.cache.pendingCount == 0)
    pool.claim(chain, owner: 2)
    var table = BlockTable()
    #expect(pool.grow(&table, to: 4))
    _ = seal(&pool, &table, chain: 1)
    #expect(pool.cache.pendingCount == 0)
    pool.disclaim(chain, owner: 2)
    #expect(pool.cache.longestPrefix(chain) == table.blocks)
  }

  @Test func withoutCachingNothingIsKept() throws {
    var pool = BlockPool(blockCount: 3, isCaching: false)
    var table = BlockTable()
    #expect(pool.grow(&table, to: 2))
    let chain = seal(&pool, &table, chain: 1)
    #expect(pool[table[1]].checksum == 1)
    pool.claim(chain, owner: 1)
    #expect(pool.cache.pendingCount == 0 && pool.cache.longestPrefix(chain).isEmpty)
    pool.release(&table)
    #expect(pool.freeCount == 3)
    try check(pool, [])
  }

  @Test func theLogNamesNetChanges() {
    var pool = BlockPool(blockCount: 3, logLimit: 100)
    var table = BlockTable()
    #expect(pool.grow(&table, to: 3))
    let first = seal(&pool, &table, chain: 1)
    #expect(pool.takeCacheChanges().added.map(\.hash) == first)
    pool.release(&table)
    // Comes and goes between two calls: not worth a word.
    #expect(pool.grow(&table, to: 1))
    let second = seal(&pool, &table, chain: 2)
    pool.release(&table)
    #expect(pool.grow(&table, to: 3))
    let third = seal(&pool, &table, chain: 3)
    let changes = pool.takeCacheChanges()
    #expect(!changes.added.map(\.hash).contains(second[0]))
    #expect(changes.added.map(\.hash) == third)
    #expect(changes.removed.map(\.hash) == first.reversed())
    #expect(pool.takeCacheChanges() == CacheChanges())
  }

  @Test func anOverflowResyncs() {
    var pool = BlockPool(blockCount: 8, logLimit: 3)
    var table = BlockTable()
    #expect(pool.grow(&table, to: 5))
    let chain = seal(&pool, &table, chain: 1)
    let changes = pool.takeCacheChanges()
    #expect(changes.isResync && changes.removed.isEmpty)
    #expect(changes.added == (0..<5).map { CachedBlock(hash: chain[$0], chain: chain[0], depth: $0) })
  }

  @Test func theCheckFindsWhatIsWrong() throws {
    var pool = BlockPool(blockCount: 3)
    var table = BlockTable()
    #expect(pool.grow(&table, to: 2))
    #expect(throws: ServingError.self) { try check(pool, []) }
    #expect(throws: ServingError.self) { try check(pool, [table, table]) }
    #expect(throws: ServingError.self) { try check(pool, [table], pins: 1) }
    pool.pin(table[0])
    #expect(throws: ServingError.self) { try check(pool, [table]) }
    try check(pool, [table], pins: 1)
  }

  /// Random sharing, writing, pinning and sealing over a small pool; the books hold after each.
  @Test(arguments: 0..<8) func theBooksHoldUnderRandomUse(seed: Int) throws {
    var random = SplitMix64(seed: UInt64(seed))
    var pool = BlockPool(blockCount: 24, isCaching: seed % 4 != 3, logLimit: 50)
    var tables: [(table: BlockTable, chain: Int, sealed: Int)] = []
    var pins: [BlockID] = []
    func pick(_ count: Int) -> Int { Int(random.next() % UInt64(max(count, 1))) }
    for _ in 0..<1500 {
      switch random.next() % 8 {
      case 0:
        let chain = pick(4)
        var table = BlockTable()
        let prefix = pool.cache.longestPrefix(hashes(chain, 8))
        pool.append(prefix, to: &table)
        tables.append((table, chain, prefix.count))
      case 1, 2:
        let at = pick(tables.count)
        if !tables.isEmpty, tables[at].table.count < 8 {
          _ = pool.grow(&tables[at].table, to: tables[at].table.count + 1)
        }
      case 3 where !tables.isEmpty:
        let at = pick(tables.count)
        for index in tables[at].sealed..<tables[at].table.count where !pool.isShared(tables[at].table, at: index) {
          let chain = hashes(tables[at].chain, 8)
          let kept = pool.seal(tables[at].table[index], as: identity(chain, index), checksum: 0)
          if kept != tables[at].table[index] { pool.replace(&tables[at].table, at: index, with: kept) }
          tables[at].sealed = index + 1
        }
      case 4 where !tables.isEmpty:
        let at = pick(tables.count)
        pool.release(&tables[at].table)
        tables.remove(at: at)
      case 5 where !tables.isEmpty:
        let table = tables[pick(tables.count)].table
        if !table.isEmpty {
          let block = table[pick(table.count)]
          pool.pin(block)
          pins.append(block)
        }
      case 6 where !pins.isEmpty: pool.unpin(pins.remove(at: pick(pins.count)))
      case 7: _ = pool.takeCacheChanges()
      default: break
      }
      try check(pool, tables.map(\.table), pins: pins.count)
    }
    for index in tables.indices { pool.release(&tables[index].table) }
    for block in pins { pool.unpin(block) }
    try check(pool, [])
    #expect(pool.activeCount == 0)
  }
}
