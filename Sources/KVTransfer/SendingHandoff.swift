import Engine
import GRPCCore
import ServingTypes

/// A hand-off being sent: the engine's events and the receiver's credit come in from two tasks, a third one writes.
///
/// What waits to be written is bounded by the receiver's credit and a few messages without blocks.
public final class SendingHandoff: Sendable {
  private struct State {
    var sender: HandoffSender<LentBlock>
    var outgoing: [HandoffMessage<LentBlock>] = []
    var isWriting = false
    /// Messages written and words of the receiver so far.
    var progress = 0
    /// The first thing that went wrong.
    var failure: (any Error)?
  }

  private let state: Lock<State>
  private let wakes: AsyncStream<Void>
  private let wake: AsyncStream<Void>.Continuation
  private let clock: ServingClock
  private let mutants: Mutants

  public convenience init(firstIndex: Int, clock: ServingClock = .continuous) {
    self.init(firstIndex: firstIndex, clock: clock, mutants: [])
  }

  package init(firstIndex: Int, clock: ServingClock, mutants: Mutants) {
    self.clock = clock
    self.mutants = mutants
    state = Lock(State(sender: HandoffSender(firstIndex: firstIndex, mutants: mutants)))
    (wakes, wake) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1))
  }

  public var sentBlocks: Int { state.withLock { $0.sender.sentBlocks } }

  public func engine(_ event: PrefillEvent) throws(ServingError) {
    try transition { sender throws(ServingError) in
      switch event {
      case .queued(let ahead): try sender.queued(ahead: ahead)
      case .started(let blocks, let cachedTokens): try sender.started(blocks: blocks, cachedTokens: cachedTokens)
      case .block(let loan): try sender.block(LentBlock(loan, index: loan.index), index: loan.index)
      case .end(let end): try sender.ended(end)
      }
    }
  }

  /// Sends loans that are all there already, as `Blocks.Fetch` does, the first one as block `firstIndex`.
  public func lend(_ loans: [BlockLoan], firstIndex: Int) throws(ServingError) {
    try transition { sender throws(ServingError) in
      var messages = try sender.started(blocks: loans.count, cachedTokens: 0)
      for (offset, loan) in loans.enumerated() {
        let index = firstIndex + offset
        messages += try sender.block(LentBlock(loan, index: index), index: index)
      }
      return try messages + sender.ended(PrefillEnd(firstTokens: []))
    }
  }

  public func credit(_ count: Int) throws(ServingError) {
    state.withLock { $0.progress += 1 }
    try transition { sender throws(ServingError) in try sender.credit(count) }
  }

  public func acknowledge(below index: Int) throws(ServingError) {
    try transition { sender throws(ServingError) in
      try sender.acknowledge(below: index)
      return []
    }
  }

  /// The receiver will say nothing more.
  public func receiverClosed() throws(ServingError) {
    try transition { sender throws(ServingError) in
      try sender.receiverClosed()
      return []
    }
  }

  /// Something went wrong: the writer throws it.
  func fail(_ error: any Error) {
    state.withLock { state in
      if state.failure == nil { state.failure = error }
    }
    wake.yield()
  }

  /// Writes what may be written until `end` was.
  func write(to writer: RPCWriter<HandoffMessage<LentBlock>>) async throws {
    for await _ in wakes {
      let (messages, isFinished) = try state.withLock { state throws in
        defer { state.outgoing = [] }
        if let failure = state.failure { throw failure }
        state.isWriting = true
        return (state.outgoing, state.sender.isFinished)
      }
      for message in messages {
        try await writer.write(message)
        if mutants.contains(.reuseBeforeSent), case .block(let block) = message { block.loan.release() }
        state.withLock { $0.progress += 1 }
      }
      state.withLock { $0.isWriting = false }
      if isFinished { return }
    }
    throw ServingError(.cancelled, "the hand-off was cancelled")
  }

  /// Ends a hand-off whose receiver neither takes what is written nor gives credit for what waits: its blocks are
  /// pinned meanwhile.
  ///
  /// - Throws: `deadlineExceeded` when nothing moved for `limit`.
  func watch(limit: Duration) async throws {
    var last = 0
    var since = clock.now
    while true {
      try await clock.sleep(for: min(limit / 4, .seconds(1)))
      let (isHeldUp, progress) = state.withLock { ($0.isWriting || $0.sender.waitingBlocks > 0, $0.progress) }
      if !isHeldUp || progress != last {
        last = progress
        since = clock.now
      } else if clock.now - since > limit {
        throw ServingError(.deadlineExceeded, "the receiver of the blocks took nothing for \(limit)")
      }
    }
  }

  /// Gives the pins of unsent blocks back. What the transport holds comes back by itself.
  public func abandon() {
    let unsent = state.withLock { state in
      let written = state.outgoing.compactMap { if case .block(let block) = $0 { block } else { nil } }
      state.outgoing = []
      return written + state.sender.abandon()
    }
    for block in unsent { block.loan.release() }
    wake.finish()
  }

  private func transition(
    _ body: (inout HandoffSender<LentBlock>) throws(ServingError) -> [HandoffMessage<LentBlock>]
  ) throws(ServingError) {
    try state.withLock { state throws(ServingError) in
      state.outgoing += try body(&state.sender)
    }
    wake.yield()
  }
}
