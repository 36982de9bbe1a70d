import KVCache
import ModelRuntime
import Scheduling
import ServingTypes

/// The tiers below the pool and the copies under way. Belongs to the engine's thread, which only posts and collects.
final class TierTransfers {
  private struct Store {
    var transfer: TierTransfer
    var claim: TierClaim
    /// The pool's block is read, or may be.
    var holdsBlock: Bool
  }

  /// After the file refused a block.
  private static let pause = Duration.seconds(5)

  let host: (any BlockTier)?
  let file: (any BlockTier)?
  private let threads: TierThreads
  private let threadCount: Int
  private let layout: BlockHash
  private let memory: BlockMemory
  private var loads: [UInt64: (load: BlockLoad, claim: TierClaim)] = [:]
  private var stores: [UInt64: Store] = [:]
  private var nextID: UInt64 = 0
  private var pausedUntil: ContinuousClock.Instant?

  init(
    host: (any BlockTier)?, file: (any BlockTier)?, layout: KVLayout, memory: BlockMemory, threadCount: Int,
    mailbox: EngineMailbox
  ) {
    self.host = host
    self.file = file
    self.layout = layout.stamp
    self.memory = memory
    self.threadCount = threadCount
    threads = TierThreads(blockBytes: memory.blockBytes) { mailbox.report($0) }
  }

  func start() { threads.start(count: threadCount) }

  /// What the block held before goes to host memory, if it is not there yet. Before anybody writes to it.
  ///
  /// - Returns: whether there was something to copy.
  @discardableResult func storeEvicted(_ block: BlockID, of scheduler: Scheduler) -> Bool {
    guard let transfer = scheduler.takeEvictionStore(of: block) else { return false }
    store(transfer, of: scheduler)
    return true
  }

  /// The same for some of those that nobody writes to yet, so that none waits for ever.
  func storeEvicted(of scheduler: Scheduler, limit: Int) {
    for _ in 0..<limit {
      guard let transfer = scheduler.takeEvictionStore() else { return }
      store(transfer, of: scheduler)
    }
  }

  private func store(_ transfer: TierTransfer, of scheduler: Scheduler) {
    var failure: TierFailure?
    do throws(TierFailure) {
      let bytes = UnsafeRawBufferPointer(memory.bytes(of: transfer.sourceSlot))
      try host?.write(stamp(transfer), bytes, to: Int(transfer.destinationSlot))
    } catch {
      failure = error
    }
    scheduler.endStore(transfer, failure: failure)
  }

  /// Calls off what nobody wants, then posts what is to be done next.
  ///
  /// - Parameter isShort: somebody lacks the blocks that are copied down: as many as possible are given back.
  func tend(_ scheduler: Scheduler, isShort: Bool, now: ContinuousClock.Instant) {
    callOffLoads(scheduler) { !$0.isWanted }
    if isShort { callOffStores(scheduler) }
    while let load = scheduler.beginLoad() {
      let claim = TierClaim()
      if let id = post(load.transfer, claim, scheduler) {
        loads[id] = (load, claim)
      } else {
        scheduler.endLoad(load, failure: .slow, seconds: 0)
      }
    }
    if let until = pausedUntil, now >= until { pausedUntil = nil }
    while !isShort, stores.count < 2 * threadCount {
      var transfer = scheduler.beginStore(usesFile: pausedUntil == nil)
      if transfer == nil, pausedUntil == nil { transfer = scheduler.beginMove() }
      guard let transfer else { return }
      let claim = TierClaim()
      let holdsBlock = transfer.source == .device
      if let id = post(transfer, claim, scheduler) {
        stores[id] = Store(transfer: transfer, claim: claim, holdsBlock: holdsBlock)
      } else {
        if holdsBlock { scheduler.endCopy(of: transfer.sourceSlot) }
        scheduler.endStore(transfer, failure: .slow)
        return
      }
    }
  }

  func collect(_ report: TierReport, for scheduler: Scheduler, now: ContinuousClock.Instant) {
    switch report.event {
    case .copied:
      guard stores[report.id]?.holdsBlock == true, let block = stores[report.id]?.transfer.sourceSlot else { return }
      stores[report.id]?.holdsBlock = false
      scheduler.endCopy(of: block)
    case .ended(let failure):
      if let (load, _) = loads.removeValue(forKey: report.id) {
        scheduler.endLoad(load, failure: failure, seconds: report.seconds)
      } else if let store = stores.removeValue(forKey: report.id) {
        if store.holdsBlock { scheduler.endCopy(of: store.transfer.sourceSlot) }
        scheduler.endStore(store.transfer, failure: failure)
        if failure == .full || failure == .unavailable { pausedUntil = now + Self.pause }
      }
    }
  }

  /// Calls everything off that has not begun. What has, ends within a copy in memory, as far as the pool is concerned.
  func stop(_ scheduler: Scheduler) {
    threads.close()
    callOffLoads(scheduler) { _ in true }
    callOffStores(scheduler)
  }

  private func callOffLoads(_ scheduler: Scheduler, where isOff: (BlockLoad) -> Bool) {
    for (id, entry) in loads where isOff(entry.load) && entry.claim.revoke() {
      loads[id] = nil
      scheduler.endLoad(entry.load, failure: .slow, seconds: 0)
    }
  }

  private func callOffStores(_ scheduler: Scheduler) {
    for (id, store) in stores where store.holdsBlock && store.claim.revoke() {
      stores[id] = nil
      scheduler.endCopy(of: store.transfer.sourceSlot)
      scheduler.endStore(store.transfer, failure: .slow)
    }
  }

  private func stamp(_ transfer: TierTransfer) -> BlockStamp {
    BlockStamp(layout: layout, hash: transfer.identity.hash, checksum: transfer.checksum)
  }

  private func tier(_ tier: CacheTier) -> (any BlockTier)? {
    switch tier {
    case .device: nil
    case .host: host
    case .file: file
    }
  }

  private func post(_ transfer: TierTransfer, _ claim: TierClaim, _ scheduler: Scheduler) -> UInt64? {
    if transfer.source == .host, let store = scheduler.takeEvictionStore(of: transfer.identity.hash) {
      self.store(store, of: scheduler)
    }
    if transfer.destination == .device { storeEvicted(transfer.destinationSlot, of: scheduler) }
    nextID += 1
    let job = TierJob(
      id: nextID, transfer: transfer, stamp: stamp(transfer), memory: memory, source: tier(transfer.source),
      destination: tier(transfer.destination), claim: claim)
    return threads.post(job) ? nextID : nil
  }
}
