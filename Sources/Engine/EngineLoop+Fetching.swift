import KVCache
import Scheduling
import ServingTypes

// Blocks that are fetched from other workers.
extension EngineLoop {
  /// Hands the fetches of this step to whoever asks other workers.
  func startFetches() {
    while let order = scheduler.takeFetch() {
      guard let request = requests[order.sequence.group.key] else {
        scheduler.endFetch(order.id, FetchReport(failure: .unwanted), now: clock.now)
        continue
      }
      for block in order.blocks { tiers?.storeEvicted(block, of: scheduler) }
      // One that nobody takes ends by itself.
      fetches.yield(
        BlockFetch(order, of: request, root: order.sequence.group.root, memory: memory, mailbox: mailbox))
    }
  }
}
