import ServingTypes

// Prefix blocks that one worker may fetch from another.
extension WorkerSelector {
  /// Whoever computes prompts may have the blocks that others hold, where it lacks enough of them.
  func noteExchange(among able: inout [WorkerCandidate], from lenders: [WorkerCandidate]) {
    guard configuration.policy == .prefix, configuration.maximumHolders > 0 else { return }
    var best: [String: Best] = [:]
    for holder in lenders where holder.lendableBlocks > 0 && !holder.isDoubtful {
      best[holder.record.layoutDigest, default: Best()].take(holder.lendableBlocks, of: holder.record.id)
    }
    for index in able.indices where able[index].record.role.servesPrefill {
      guard let known = best[able[index].record.layoutDigest] else { continue }
      let more = known.blocks(besides: able[index].record.id) - able[index].cached.blocks
      able[index].fetchableBlocks = more >= leastFetch ? more : 0
    }
  }

  /// Those that hold more than one of the workers that may compute the prompt, the best first.
  func holders(
    among lenders: [WorkerCandidate], for computing: [WorkerCandidate], besides decode: WorkerCandidate
  ) -> [BlockHolder] {
    guard configuration.policy == .prefix else { return [] }
    let least = computing.map(\.cached.blocks).min() ?? 0
    let useful = lenders.filter { holder in
      holder.record.layoutDigest == decode.record.layoutDigest && holder.record.id != decode.record.id
        && !holder.isDoubtful && holder.lendableBlocks >= least + leastFetch
    }
    return
      useful
      .sorted { ($1.lendableBlocks, $0.record.id) < ($0.lendableBlocks, $1.record.id) }
      .prefix(configuration.maximumHolders)
      .map { BlockHolder(worker: $0.record.reference, blocks: $0.lendableBlocks) }
  }

  private var leastFetch: Int { max(1, configuration.fetchMinBlocks) }

  /// The two that hold most of a layout's blocks: nobody fetches from itself.
  private struct Best {
    private var first: WorkerID?
    private var most = 0
    private var second = 0

    mutating func take(_ blocks: Int, of worker: WorkerID) {
      if blocks > most {
        second = most
        first = worker
        most = blocks
      } else {
        second = max(second, blocks)
      }
    }

    func blocks(besides worker: WorkerID) -> Int { first == worker ? second : most }
  }
}
