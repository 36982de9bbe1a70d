import Engine
import GRPCCore
import GRPCProtobuf
import GRPCTransport
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
  private let control = HandoffControl()
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
    let options = CallOptions.until(deadline, on: clock, waitForReady: false)
    return try await withThrowingTaskGroup(of: PrefillEnd?.self) { group in
      group.addTask {
        try await watchdog.watch(askingAfter: configuration.probeAfter) { silence in
          await probes.verdict(on: address, for: .blocks, silentSince: silence) != .dead
        }
        return nil
      }
      group.addTask { try await call(client, options) }
      defer { group.cancelAll() }
      guard let end = try await group.next() ?? nil else { throw CancellationError() }
      return end
    }
  }

  private func call(_ client: ChannelPool.Client, _ options: CallOptions) async throws -> PrefillEnd {
    let request = StreamingClientRequest<Baton_V1_PrefillRequest> { writer in
      try await writer.write(.with { $0.open = open })
      for await _ in control.wakes {
        let news = control.take()
        if let index = news.acknowledged {
          try await writer.write(.with { $0.ack = .with { $0.blocks = UInt32(clamping: index) } })
        }
        if news.credit > 0 {
          try await writer.write(.with { $0.credit = .with { $0.blocks = UInt32(clamping: news.credit) } })
        }
        if news.isClosed { return }
      }
    }
    return try await client.bidirectionalStreaming(
      request: request, descriptor: Baton_V1_Prefill.Method.Prefill.descriptor,
      serializer: ProtobufSerializer<Baton_V1_PrefillRequest>(), deserializer: PrefillResponseDeserializer(),
      options: options
    ) { response in
      defer { control.close() }
      return try await receive(response.messages)
    }
  }

  private func receive(
    _ messages: RPCAsyncSequence<HandoffMessage<ReceivedBlock>, any Error>
  ) async throws -> PrefillEnd {
    var receiver = HandoffReceiver(configuration: receiver)
    var slots: [BlockSlot] = []
    var result: PrefillEnd?
    for try await message in messages {
      var arrived: ReceivedBlock?
      let checked: HandoffMessage<BlockFrame>
      switch message {
      case .queued(let ahead):
        watchdog.arm(for: configuration.queueTimeout, waitingFor: "the start, \(ahead) requests ahead")
        checked = .queued(ahead: ahead)
      case .start(let blocks, let cachedTokens): checked = .start(blocks: blocks, cachedTokens: cachedTokens)
      case .end(let end): checked = .end(end)
      case .block(let block):
        arrived = block
        checked = .block(block.frame)
      }
      var actions = try receiver.message(checked, payloadCount: arrived?.payloadCount ?? 0)[...]
      while let action = actions.popFirst() {
        switch action {
        case .bind:
          slots = try await bind()
          actions += try receiver.bound(slots.map { ExpectedBlock($0) })
        case .write(let position):
          guard let arrived else { throw ServingError(.internalError, "a write without a block") }
          actions += try receiver.wrote(checksum: arrived.write(to: slots[position].memory))
        case .commit(let position, let checksum):
          handle.commit(index: slots[position].index, checksum: checksum)
          slots[position].release()
          progress.withLock { $0.blocks += 1 }
        case .sendCredit(let count): control.credit(count)
        case .sendAck(let index): control.acknowledge(below: index)
        case .complete(let end):
          progress.withLock { $0.endedAt = clock.now }
          result = end
          // The status is right behind; the stream should end in order.
          control.close()
        }
      }
      if receiver.hasStarted { watchdog.arm(for: configuration.stallTimeout, waitingFor: "the next block") }
    }
    try receiver.closed()
    guard let result else { throw ServingError(.internalError, "a hand-off without a result") }
    return result
  }

  /// The engine's part of the start. No timeout of the candidate's runs meanwhile, and none may cancel the request.
  private func bind() async throws -> [BlockSlot] {
    guard watchdog.pause() else { throw CancellationError() }
    progress.withLock { $0.startedAt = clock.now }
    do {
      let slots = try await handle.bind()
      progress.withLock { $0.boundAt = clock.now }
      return slots
    } catch {
      progress.withLock { $0.engineFailure = error }
      throw error
    }
  }
}

extension ExpectedBlock {
  init(_ slot: BlockSlot) {
    self.init(
      index: slot.index, hash: slot.hash, parentHash: slot.parentHash, tokenCount: slot.tokenCount, tokens: slot.tokens)
  }
}
