import KVCache
import ServingTypes

/// The threads that move blocks between the pool and the tiers. Loads go before everything else.
final class TierThreads: Sendable {
  private struct State {
    var loads: [TierJob] = []
    var stores: [TierJob] = []
    var threads = 0
    var isClosed = false
  }

  private static let capacity = 256

  private let state = SignalledLock(State())
  private let blockBytes: Int
  private let report: @Sendable (TierReport) -> Void

  init(blockBytes: Int, report: @escaping @Sendable (TierReport) -> Void) {
    self.blockBytes = blockBytes
    self.report = report
  }

  /// Each thread ends once `close` was called and the copy that it is at has ended.
  func start(count: Int) {
    for _ in 0..<count {
      state.withLock { $0.threads += 1 }
      if !DetachedThread.start({ self.work() }) { state.withLock { $0.threads -= 1 } }
    }
  }

  /// Drops what waits; nothing is heard of it.
  func close() {
    state.withLock { state in
      state.isClosed = true
      state.loads.removeAll()
      state.stores.removeAll()
    }
  }

  /// False when too much waits already, or nobody would do it.
  func post(_ job: TierJob) -> Bool {
    state.withLock { state in
      guard !state.isClosed, state.threads > 0 else { return false }
      if state.loads.count + state.stores.count >= Self.capacity {
        state.loads.removeAll(where: \.claim.isRevoked)
        state.stores.removeAll(where: \.claim.isRevoked)
        guard state.loads.count + state.stores.count < Self.capacity else { return false }
      }
      if job.isLoad { state.loads.append(job) } else { state.stores.append(job) }
      return true
    }
  }

  // MARK: On a thread

  private func work() {
    let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: blockBytes, alignment: 64)
    defer { buffer.deallocate() }
    while let job = next() {
      guard !job.claim.isRevoked else { continue }
      let start = ContinuousClock.now
      let failure: TierFailure?
      do throws(TierFailure) {
        guard try run(job, buffer) else { continue }
        failure = nil
      } catch {
        // Whoever called the copy off has settled everything.
        if job.isLoad, job.source?.mayBlock == true, !job.claim.begin() { continue }
        failure = error
      }
      let elapsed = (ContinuousClock.now - start) / .seconds(1)
      report(TierReport(id: job.id, event: .ended(failure), seconds: elapsed))
    }
  }

  private func next() -> TierJob? {
    let job: TierJob?? = state.wait(timeout: nil) { state in
      if state.isClosed { return .some(nil) }
      if !state.loads.isEmpty { return .some(state.loads.removeFirst()) }
      return state.stores.isEmpty ? nil : .some(state.stores.removeFirst())
    }
    return job ?? nil
  }

  /// False when it was called off in time.
  private func run(_ job: TierJob, _ buffer: UnsafeMutableRawBufferPointer) throws(TierFailure) -> Bool {
    let transfer = job.transfer
    switch (transfer.source, transfer.destination) {
    case (.device, let tier):
      guard let destination = job.destination, job.claim.begin() else { return false }
      let block = UnsafeRawBufferPointer(job.memory.bytes(of: transfer.sourceSlot))
      guard destination.mayBlock else {
        try destination.write(job.stamp, block, to: Int(transfer.destinationSlot))
        return true
      }
      precondition(tier != .device, "a block is copied from the pool to the pool")
      buffer.copyMemory(from: block)
      report(TierReport(id: job.id, event: .copied, seconds: 0))
      try destination.write(job.stamp, UnsafeRawBufferPointer(buffer), to: Int(transfer.destinationSlot))
    case (_, .device):
      guard let source = job.source else { return false }
      let block = job.memory.bytes(of: transfer.destinationSlot)
      guard source.mayBlock else {
        guard job.claim.begin() else { return false }
        try Self.read(job, source, into: block)
        return true
      }
      try Self.read(job, source, into: buffer)
      guard job.claim.begin() else { return false }
      block.copyMemory(from: UnsafeRawBufferPointer(buffer))
    default:
      guard let source = job.source, let destination = job.destination, job.claim.begin() else { return false }
      try Self.read(job, source, into: buffer)
      try destination.write(job.stamp, UnsafeRawBufferPointer(buffer), to: Int(transfer.destinationSlot))
    }
    return true
  }

  /// Reads a block and proves that it is the one that was asked for, bytes and all.
  private static func read(
    _ job: TierJob, _ source: any BlockTier, into bytes: UnsafeMutableRawBufferPointer
  ) throws(TierFailure) {
    let stamp = try source.read(from: Int(job.transfer.sourceSlot), into: bytes)
    guard stamp == job.stamp, blockChecksum(UnsafeRawBufferPointer(bytes)) == job.stamp.checksum else {
      throw .corrupt
    }
  }
}
