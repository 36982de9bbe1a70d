import KVCache
import ServingTestKit
import ServingTypes
import Testing

/// The books of the pool and its tiers, against a model of what lies in every block and slot.
@Suite struct TieredPoolTests {
  private struct Machine {
    var pool: BlockPool
    let hasHost: Bool
    /// What the bytes are: the hash of the block that was written there.
    var device: [BlockHash?]
    var slots: [CacheTier: [Int32: BlockHash]] = [.host: [:], .file: [:]]
    var tables: [BlockTable] = []
    var stores: [(transfer: TierTransfer, isCopied: Bool)] = []
    var loads: [TierTransfer] = []
    var held: [BlockHash: CacheTier] = [:]
    var loaded = 0

    static let root = BlockHash.root(salt: "", blockSize: 1)

    init(blocks: Int, host: Int, file: Int, threshold: Double) {
      pool = BlockPool(blockCount: blocks)
      pool.addTiers(hostCapacity: host, fileCapacity: file, threshold: threshold)
      hasHost = host > 0
      device = [BlockHash?](repeating: nil, count: blocks)
    }

    static func chain(_ seed: UInt64, _ count: Int) -> [BlockHash] {
      BlockHash.chain(tokens: (0..<count).map { TokenID(seed * 100 + UInt64($0)) }, blockSize: 1, salt: "")
    }

    func identity(_ hashes: [BlockHash], _ index: Int) -> BlockIdentity {
      BlockIdentity(
        hash: hashes[index], parent: index == 0 ? Self.root : hashes[index - 1], chain: hashes[0], depth: index)
    }

    /// What the engine does before anything is written to a block that was handed out.
    mutating func write(_ hash: BlockHash?, to block: BlockID) {
      store(pool.takeEvictionStore(of: block))
      device[Int(block)] = hash
    }

    /// What the engine does before it reads a slot.
    mutating func read(_ transfer: TierTransfer) -> BlockHash? {
      if transfer.source == .host { store(pool.takeEvictionStore(of: transfer.identity.hash)) }
      return slots[transfer.source]?[transfer.sourceSlot]
    }

    mutating func store(_ transfer: TierTransfer?) {
      guard let transfer else { return }
      #expect(device[Int(transfer.sourceSlot)] == transfer.identity.hash, "an evicted block was written over")
      slots[.host]?[transfer.destinationSlot] = device[Int(transfer.sourceSlot)]
      pool.endStore(transfer, failure: nil)
    }

    /// A sequence that takes its prefix from the pool, then from the tiers, and computes the rest.
    mutating func run(_ hashes: [BlockHash], _ random: inout SplitMix64) {
      var table = BlockTable()
      pool.append(pool.cache.longestPrefix(hashes), to: &table)
      let start = table.count
      guard pool.grow(&table, to: hashes.count) else { return pool.release(&table) }
      let end = start + pool.loadableCount(hashes[start...], computeSeconds: nil)
      var arrived = start
      for index in start..<end {
        guard let load = pool.beginLoad(hashes[index], to: table[index]) else { break }
        #expect(read(load) == hashes[index], "a slot holds another block")
        if random.next() % 8 == 0 {
          // Called off, or bad.
          let failure: TierFailure = random.next() % 2 == 0 ? .slow : .corrupt
          loads.append(load)
          if failure == .corrupt { finishLoad(failure: failure) }
          break
        }
        write(slots[load.source]?[load.sourceSlot], to: table[index])
        pool.endLoad(load, failure: nil, seconds: 0)
        seal(&table, hashes, index)
        arrived += 1
        loaded += 1
      }
      // Whatever is on its way to a block comes back before that is written to.
      while !loads.isEmpty { finishLoad(failure: .slow) }
      for index in arrived..<hashes.count {
        write(hashes[index], to: table[index])
        seal(&table, hashes, index)
      }
      for (index, block) in table.blocks.enumerated() {
        #expect(device[Int(block)] == hashes[index], "a table leads to another block")
      }
      tables.append(table)
    }

    mutating func finishLoad(failure: TierFailure) {
      pool.endLoad(loads.removeLast(), failure: failure, seconds: 0)
    }

    mutating func seal(_ table: inout BlockTable, _ hashes: [BlockHash], _ index: Int) {
      let kept = pool.seal(table[index], as: identity(hashes, index), checksum: 0)
      if kept != table[index] { pool.replace(&table, at: index, with: kept) }
    }

    mutating func beginStores(_ random: inout SplitMix64) {
      while stores.count < 3 {
        guard let transfer = pool.beginStore(usesFile: true) ?? pool.beginMove() else { return }
        stores.append((transfer, false))
      }
    }

    mutating func endStore(_ random: inout SplitMix64) {
      guard !stores.isEmpty else { return }
      let place = Int(random.next() % UInt64(stores.count))
      var (transfer, isCopied) = stores[place]
      if transfer.source == .device, !isCopied {
        #expect(device[Int(transfer.sourceSlot)] == transfer.identity.hash, "a block was reused while it was copied")
        pool.endCopy(of: transfer.sourceSlot)
        isCopied = true
        stores[place].isCopied = true
        if random.next() % 2 == 0 { return }
      } else if transfer.source != .device {
        #expect(read(transfer) == transfer.identity.hash)
      }
      stores.remove(at: place)
      let failure: TierFailure? = random.next() % 5 == 0 ? [.slow, .full, .corrupt][Int(random.next() % 3)] : nil
      if failure == nil { slots[transfer.destination]?[transfer.destinationSlot] = transfer.identity.hash }
      pool.endStore(transfer, failure: failure)
    }

    /// What was announced, put together, is what can be found.
    mutating func follow() {
      let changes = pool.takeCacheChanges()
      if changes.isResync { held = [:] }
      for block in changes.removed { #expect(held.removeValue(forKey: block.hash) == block.tier) }
      for block in changes.added {
        #expect(held[block.hash] != block.tier)
        held[block.hash] = block.tier
      }
      for (hash, tier) in held { #expect(pool.tier(of: hash) == tier) }
    }

    func check() throws {
      var references = [Int](repeating: 0, count: pool.blockCount)
      for table in tables { for block in table.blocks { references[Int(block)] += 1 } }
      try pool.checkIntegrity(references: references, pins: loads.count)
    }
  }

  @Test(arguments: 0..<24) func theBooksSayWhatLiesWhere(seed: Int) throws {
    var random = SplitMix64(seed: UInt64(seed))
    let (host, file) = [(8, 0), (0, 8), (4, 12), (40, 40)][seed % 4]
    var machine = Machine(blocks: 12, host: host, file: file, threshold: [0, 0.5, 1][seed / 4 % 3])
    for _ in 0..<1500 {
      switch random.next() % 6 {
      case 0, 1:
        // Chains of which one begins as another does.
        let length = 1 + Int(random.next() % 6)
        machine.run(Machine.chain(random.next() % 7, length), &random)
      case 2, 3:
        guard !machine.tables.isEmpty else { continue }
        var table = machine.tables.remove(at: Int(random.next() % UInt64(machine.tables.count)))
        machine.pool.release(&table)
      case 4: machine.beginStores(&random)
      default: machine.endStore(&random)
      }
      if random.next() % 8 == 0 { machine.store(machine.pool.takeEvictionStore()) }
      // Nobody reads what was not copied yet.
      if machine.stores.isEmpty, random.next() % 8 == 0 { machine.pool.dropEvicted(BlockID(random.next() % 12)) }
      try machine.check()
      if random.next() % 4 == 0 { machine.follow() }
    }
    if seed / 4 % 3 < 2 || host > 0 { #expect(machine.loaded > 0) }
    let statistics = machine.pool.currentTierStatistics
    #expect(statistics.hostBlocks <= host && statistics.fileBlocks <= file)
  }

  /// Whoever asked for the least recently used blocks to be copied finds them in that order, and not before the limit.
  @Test func copiesDownBeyondTheThreshold() throws {
    var machine = Machine(blocks: 10, host: 20, file: 0, threshold: 0.5)
    var random = SplitMix64(seed: 1)
    for chain in 0..<2 as Range<UInt64> {
      machine.run(Machine.chain(chain, 2), &random)
      var table = machine.tables.removeLast()
      machine.pool.release(&table)
    }
    // Four blocks of ten.
    machine.beginStores(&random)
    #expect(machine.stores.isEmpty)
    machine.run(Machine.chain(3, 3), &random)
    machine.beginStores(&random)
    #expect(machine.stores.map(\.transfer.identity.hash) == Machine.chain(0, 2).reversed())
    // What is copied is not handed out, but may be used.
    #expect(machine.pool.availableCount == 5)
    machine.run(Machine.chain(0, 2), &random)
    for (store, _) in machine.stores {
      machine.pool.endCopy(of: store.sourceSlot)
      machine.pool.endStore(store, failure: nil)
    }
    try machine.check()
  }

  @Test func theLowestTierDropsWhatWasUsedLeast() throws {
    var machine = Machine(blocks: 4, host: 2, file: 0, threshold: 1)
    var random = SplitMix64(seed: 1)
    for chain in 0..<8 as Range<UInt64> {
      machine.run(Machine.chain(chain, 1), &random)
      var table = machine.tables.removeLast()
      machine.pool.release(&table)
    }
    try machine.check()
    let tiers = (0..<8 as Range<UInt64>).map { machine.pool.tier(of: Machine.chain($0, 1)[0]) }
    #expect(tiers == [nil, nil, .host, .host, .device, .device, .device, .device])
    #expect(machine.pool.currentTierStatistics.drops == 2)
  }
}
