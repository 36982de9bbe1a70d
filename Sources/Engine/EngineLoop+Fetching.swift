import KVCache
import Scheduling
import ServingTypes

// Blocks that are fetched from other workers.
extension EngineLoop {
  /// Hands the fetches of this step to whoever asks other workers.
  func startFetches() {
    var stores = 0
    while let order = scheduler.takeFetch() {
      guard let request = requests[order.sequence.group.key] else {
        scheduler.endFetch(order.id, FetchReport(failure: .unwanted), now: clock.now)
        continue
      }
      clear(order.blocks, &stores)
      // One that nobody takes ends by itself.
      fetches.yield(
        BlockFetch(order, of: request, root: order.sequence.group.root, memory: memory, mailbox: mailbox))
    }
  }

  /// Copies down what the blocks held before, and drops what would keep those waiting that are decoding. The last ones were
  /// used last, and lie nearest to the beginnings of their prefixes.
  private func clear(_ blocks: [BlockID], _ stores: inout Int) {
    for block in blocks.reversed() {
      if stores == Self.storesPerTurn {
        scheduler.dropEvicted(block)
      } else if tiers?.storeEvicted(block, of: scheduler) == true {
        stores += 1
      }
    }
  }
}
