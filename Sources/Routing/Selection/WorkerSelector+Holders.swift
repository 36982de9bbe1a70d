import ServingTypes

// Prefix blocks that one worker may fetch from another.
extension WorkerSelector {
  /// Whoever computes prompts may have the blocks that others hold, where it lacks enough of them.
  func noteExchange(among able: inout [WorkerCandidate]) {
    guard configuration.policy == .prefix, configuration.maximumHolders > 0 else { return }
    // The two best of each layout: nobody fetches from itself.
    var best: [String: (first: (id: WorkerID, blocks: Int), second: Int)] = [:]
    for holder in able where holder.lendableBlocks > 0 && !holder.isDoubtful {
      let (layout, blocks) = (holder.record.layoutDigest, holder.lendableBlocks)
      if let known = best[layout] {
        best[layout] =
          blocks > known.first.blocks
          ? ((holder.record.id, blocks), known.first.blocks) : (known.first, max(known.second, blocks))
      } else {
        best[layout] = ((holder.record.id, blocks), 0)
      }
    }
    for index in able.indices where able[index].record.role.servesPrefill {
      guard let known = best[able[index].record.layoutDigest] else { continue }
      let held = known.first.id == able[index].record.id ? known.second : known.first.blocks
      let more = held - able[index].cached.blocks
      able[index].fetchableBlocks = more >= leastFetch ? more : 0
    }
  }

  /// Those that hold more than one of the workers that may compute the prompt, the best first.
  func holders(
    among able: [WorkerCandidate], for computing: [WorkerCandidate], besides decode: WorkerCandidate
  ) -> [BlockHolder] {
    guard configuration.policy == .prefix else { return [] }
    let least = computing.map(\.cached.blocks).min() ?? 0
    let useful = able.filter { holder in
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
}
