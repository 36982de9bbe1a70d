import Directory
import RPC
import ServingTypes

/// The list of workers through the directory's ups and downs. No I/O.
package struct Roster {
  private let grace: Duration
  package private(set) var workers: [WorkerID: RegisteredWorker] = [:]
  /// Leases with an address that nobody can call, which are left out.
  package private(set) var unusable: Set<WorkerID> = []

  package init(grace: Duration) { self.grace = grace }

  /// The directory answered. A worker that it no longer knows stays for a while as a last resort: the directory may
  /// have lost its memory.
  package mutating func merge(_ records: [WorkerRecord], now: ContinuousClock.Instant) {
    var present = Set<WorkerID>()
    unusable = []
    for record in records {
      guard (try? ServerAddress(record.reference.address)) != nil else {
        unusable.insert(record.id)
        continue
      }
      present.insert(record.id)
      var worker = workers[record.id] ?? RegisteredWorker(record: record, isLeased: true, reported: now)
      let isNewLife = worker.record.reference != record.reference
      if isNewLife { worker.suspectUntil = nil }
      if isNewLife || record.sequence > worker.record.sequence { worker.reported = now }
      // A directory that failed over may know an older report than the last one.
      if isNewLife || record.sequence >= worker.record.sequence { worker.record = record }
      worker.isLeased = true
      worker.vanished = nil
      workers[record.id] = worker
    }
    for (id, worker) in workers where !present.contains(id) {
      guard let vanished = worker.vanished else {
        workers[id]?.isLeased = false
        workers[id]?.vanished = now
        continue
      }
      if now - vanished > grace { workers[id] = nil }
    }
  }

  /// A call to this life of the worker failed.
  package mutating func suspect(_ reference: WorkerReference, until: ContinuousClock.Instant) {
    guard workers[reference.id]?.record.reference == reference else { return }
    workers[reference.id]?.suspectUntil = until
  }

  /// A call to this life of the worker went well.
  package mutating func trust(_ reference: WorkerReference) {
    guard workers[reference.id]?.record.reference == reference else { return }
    workers[reference.id]?.suspectUntil = nil
  }
}
