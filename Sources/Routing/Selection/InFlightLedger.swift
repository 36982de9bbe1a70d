import ServingTypes

/// This router's own requests by worker, so that their load counts at once and not only when it is reported.
package struct InFlightLedger {
  package typealias Ticket = Int

  private struct Entry {
    var worker: WorkerID
    var work: InFlightWork
    var begun: ContinuousClock.Instant
  }

  private var entries: [Ticket: Entry] = [:]
  private var tickets: [WorkerID: Set<Ticket>] = [:]
  private var nextTicket = 0

  package init() {}

  package var count: Int { entries.count }

  package mutating func begin(_ work: InFlightWork, on worker: WorkerID, now: ContinuousClock.Instant) -> Ticket {
    nextTicket += 1
    entries[nextTicket] = Entry(worker: worker, work: work, begun: now)
    tickets[worker, default: []].insert(nextTicket)
    return nextTicket
  }

  /// The prompt is computed: what is left is the blocks it holds.
  package mutating func finishPrefill(_ ticket: Ticket) { entries[ticket]?.work.prefillBlocks = 0 }

  package mutating func end(_ ticket: Ticket) {
    guard let entry = entries.removeValue(forKey: ticket) else { return }
    tickets[entry.worker]?.remove(ticket)
    if tickets[entry.worker]?.isEmpty == true { tickets[entry.worker] = nil }
  }

  /// All own work on the worker, and the part of it that began after `reported`.
  package func work(on worker: WorkerID, after reported: ContinuousClock.Instant?) -> (
    all: InFlightWork, new: InFlightWork
  ) {
    var all = InFlightWork()
    var new = InFlightWork()
    for ticket in tickets[worker] ?? [] {
      guard let entry = entries[ticket] else { continue }
      all += entry.work
      if reported.map({ entry.begun > $0 }) ?? true { new += entry.work }
    }
    return (all, new)
  }
}
