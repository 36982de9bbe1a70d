import Engine
import GRPCCore
import GRPCProtobuf
import KVTransfer
import RPC
import ServingProtos
import ServingTypes

/// One holder being asked for blocks, from `open` to `end`. It gives those that it has, up to the first that it lacks.
struct FetchAttempt: Sendable {
  /// What came, also when the attempt failed in the end.
  struct Progress: Sendable {
    var blocks = 0
    var answeredAt: ContinuousClock.Instant?
  }

  let fetch: BlockFetch
  let holder: WorkerReference
  /// Leading blocks of the fetch that came from others.
  let skipped: Int
  let layout: KVLayout
  private let clock: ServingClock
  private let receiver: HandoffReceiver.Configuration
  private let state = Lock(Progress())
  private let control = HandoffControl()

  init(
    fetch: BlockFetch, holder: WorkerReference, skipped: Int, layout: KVLayout, vocabularySize: Int, creditWindow: Int,
    clock: ServingClock
  ) {
    self.fetch = fetch
    self.holder = holder
    self.skipped = skipped
    self.layout = layout
    self.clock = clock
    receiver = HandoffReceiver.Configuration(
      creditWindow: creditWindow, blockBytes: layout.blockBytes(), layerCount: layout.groups[0].layers.count,
      vocabularySize: vocabularySize, samples: [])
  }

  var progress: Progress { state.withLock { $0 } }

  /// - Throws: what the holder answered, `dataLoss` when it broke the protocol, `CancellationError` when it was called off.
  func run(on client: ChannelPool.Client) async throws {
    let request = StreamingClientRequest<Baton_V1_FetchRequest> { writer in
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
    try await client.bidirectionalStreaming(
      request: request, descriptor: Baton_V1_Blocks.Method.Fetch.descriptor,
      serializer: ProtobufSerializer<Baton_V1_FetchRequest>(), deserializer: FetchResponseDeserializer(),
      options: .until(fetch.deadline, on: clock, waitForReady: false)
    ) { response in
      defer { control.close() }
      try await receive(response.messages)
    }
  }

  private var open: Baton_V1_FetchOpen {
    var open = Baton_V1_FetchOpen()
    open.requestID = fetch.requestID.value
    open.layoutDigest = layout.digest
    open.layout = layout.description
    open.expectedIncarnation = holder.incarnation.value
    open.hashes = fetch.hashes[skipped...].map { .init($0.bytes) }
    open.firstIndex = UInt32(clamping: fetch.firstIndex + skipped)
    open.parentHash = .init((skipped == 0 ? fetch.parentHash : fetch.hashes[skipped - 1]).bytes)
    return open
  }

  private func receive(_ messages: RPCAsyncSequence<HandoffMessage<ReceivedBlock>, any Error>) async throws {
    var receiver = HandoffReceiver(configuration: receiver)
    for try await message in messages {
      var arrived: ReceivedBlock?
      let checked: HandoffMessage<BlockFrame>
      switch message {
      case .queued(let ahead): checked = .queued(ahead: ahead)
      case .start(let blocks, let cachedTokens): checked = .start(blocks: blocks, cachedTokens: cachedTokens)
      case .end(let end): checked = .end(end)
      case .block(let block):
        arrived = block
        checked = .block(block.frame)
      }
      var actions = try receiver.message(checked, payloadCount: arrived?.payloadCount ?? 0)[...]
      while let action = actions.popFirst() {
        switch action {
        case .bind(let blocks): actions += try receiver.bound(try expect(blocks))
        case .write(let position):
          guard let arrived else { throw ServingError(.internalError, "a write without a block") }
          guard let checksum = fetch.fill(skipped + position, { arrived.write(to: $0) }) else {
            throw CancellationError()
          }
          actions += try receiver.wrote(checksum: checksum)
        case .commit(_, let checksum):
          fetch.commit(checksum: checksum)
          state.withLock { $0.blocks += 1 }
        case .sendCredit(let count): control.credit(count)
        case .sendAck(let index): control.acknowledge(below: index)
        // The status is right behind; the stream should end in order.
        case .complete: control.close()
        }
      }
    }
    try receiver.closed()
  }

  /// What the blocks that the holder has must prove to be.
  private func expect(_ count: Int) throws(ServingError) -> [ExpectedBlock] {
    state.withLock { $0.answeredAt = clock.now }
    let hashes = fetch.hashes[skipped...]
    guard count <= hashes.count else {
      throw ServingError(.dataLoss, "the holder announced \(count) blocks; it was asked for \(hashes.count)")
    }
    return hashes.prefix(count).enumerated().map { offset, hash in
      let position = skipped + offset
      return ExpectedBlock(
        index: fetch.firstIndex + position, hash: hash,
        parentHash: position == 0 ? fetch.parentHash : fetch.hashes[position - 1], tokenCount: layout.blockSize,
        tokens: [])
    }
  }
}
