import Engine
import KVTransfer
import RPC
import ServingProtos
import ServingTypes

/// One hand-off with one prefill worker, from `open` to `end`.
struct HandoffAttempt: Sendable {
  /// What came over, also when the attempt failed in the end.
  struct Progress: Sendable {
    var blocks = 0
    var startedAt: ContinuousClock.Instant?
    var boundAt: ContinuousClock.Instant?
    var endedAt: ContinuousClock.Instant?
    /// The engine's own error, which no other candidate can mend.
    var engineFailure: ServingError?
  }

  let open: Baton_V1_PrefillOpen
  let handle: ReceiveHandle
  let receiver: HandoffReceiver.Configuration
  let configuration: DecodeConfiguration
  let clock: ServingClock
  let probes: LivenessProbes
  let progress = Lock(Progress())
  private let watchdog: Watchdog

  init(
    open: Baton_V1_PrefillOpen, handle: ReceiveHandle, receiver: HandoffReceiver.Configuration,
    configuration: DecodeConfiguration, probes: LivenessProbes, clock: ServingClock
  ) {
    self.open = open
    self.handle = handle
    self.receiver = receiver
    self.configuration = configuration
    self.clock = clock
    watchdog = Watchdog(clock: clock, isAsleep: configuration.mutants.contains(.waitForever))
    self.probes = probes
  }

  /// - Throws: what the worker answered, `dataLoss` when it broke the protocol, `deadlineExceeded` when it was too slow.
  func run(
    on client: ChannelPool.Client, of address: ServerAddress, deadline: ContinuousClock.Instant?
  ) async throws -> PrefillEnd {
    watchdog.arm(for: configuration.connectTimeout, waitingFor: "an answer")
    return try await withThrowingTaskGroup(of: PrefillEnd?.self) { group in
      group.addTask {
        try await watchdog.watch(askingAfter: configuration.probeAfter) { silence in
          await probes.verdict(on: address, for: .blocks, silentSince: silence) != .dead
        }
        return nil
      }
      group.addTask {
        try await HandoffCall(open: Baton_V1_PrefillRequest.with { $0.open = open }, receiver: receiver)
          .run(on: client, until: deadline, into: Slots(attempt: self))
      }
      defer { group.cancelAll() }
      guard let end = try await group.next() ?? nil else { throw CancellationError() }
      return end
    }
  }
}

extension HandoffAttempt {
  /// The sequence's own blocks, which the engine binds when the sender begins.
  private struct Slots: HandoffDestination {
    let attempt: HandoffAttempt
    var slots: [BlockSlot] = []

    func queued(ahead: Int) {
      attempt.watchdog.arm(
        for: attempt.configuration.queueTimeout, waitingFor: "the start, \(ahead) requests ahead")
    }

    /// The engine's part of the start. No timeout of the candidate's runs meanwhile, and none may cancel the request.
    mutating func bind(_ count: Int) async throws -> [ExpectedBlock] {
      guard attempt.watchdog.pause() else { throw CancellationError() }
      attempt.progress.withLock { $0.startedAt = attempt.clock.now }
      do {
        slots = try await attempt.handle.bind()
        attempt.progress.withLock { $0.boundAt = attempt.clock.now }
        return slots.map { ExpectedBlock($0) }
      } catch {
        attempt.progress.withLock { $0.engineFailure = error }
        throw error
      }
    }

    func write(_ block: ReceivedBlock, at position: Int) -> UInt32 { block.write(to: slots[position].memory) }

    func commit(at position: Int, checksum: UInt32) {
      attempt.handle.commit(index: slots[position].index, checksum: checksum)
      slots[position].release()
      attempt.progress.withLock { $0.blocks += 1 }
    }

    func completed() { attempt.progress.withLock { $0.endedAt = attempt.clock.now } }

    func advanced() { attempt.watchdog.arm(for: attempt.configuration.stallTimeout, waitingFor: "the next block") }
  }
}

extension ExpectedBlock {
  init(_ slot: BlockSlot) {
    self.init(
      index: slot.index, hash: slot.hash, parentHash: slot.parentHash, tokenCount: slot.tokenCount, tokens: slot.tokens)
  }
}
