import Foundation
import ServingTypes

/// Prompt blocks that each worker was given to compute, the older the less: who had more than others shall have less now.
///
/// What a worker has still to do says nothing of that while nobody waits. A prefix that many share would keep one worker
/// at work and the others idle, until a moment comes in which it is too much for the one.
package struct RecentWork {
  private struct Entry {
    var blocks: Double
    var noted: ContinuousClock.Instant
  }

  private static let mostWorkers = 4096

  /// After it a block counts for 1/e.
  private let lifetime: Duration
  private var entries: [WorkerID: Entry] = [:]

  package init(lifetime: Duration) { self.lifetime = lifetime }

  package var count: Int { entries.count }

  package mutating func add(_ blocks: Double, to worker: WorkerID, now: ContinuousClock.Instant) {
    guard blocks > 0 else { return }
    // Those that are gone for long.
    if entries.count >= Self.mostWorkers { entries = entries.filter { now - $0.value.noted < lifetime * 8 } }
    guard entries[worker] != nil || entries.count < Self.mostWorkers else { return }
    entries[worker] = Entry(blocks: self.blocks(of: worker, now: now) + blocks, noted: now)
  }

  package func blocks(of worker: WorkerID, now: ContinuousClock.Instant) -> Double {
    guard let entry = entries[worker] else { return 0 }
    return entry.blocks * exp(-max(0, (now - entry.noted) / lifetime))
  }
}
