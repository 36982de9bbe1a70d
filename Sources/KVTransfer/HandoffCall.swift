import Engine
import GRPCCore
import GRPCProtobuf
import RPC
import ServingTypes

/// The receiving side of one call that brings blocks, `Prefill.Prefill` or `Blocks.Fetch`, from `open` to the status.
public struct HandoffCall<Request: HandoffRequest>: Sendable {
  private let open: Request
  private let configuration: HandoffReceiver.Configuration
  private let control = HandoffControl()

  /// - Parameter open: the call's first message.
  public init(open: Request, receiver configuration: HandoffReceiver.Configuration) {
    self.open = open
    self.configuration = configuration
  }

  /// Runs the call; once. It fails at once where the sender cannot be reached.
  ///
  /// - Returns: the sender's end.
  /// - Throws: what the sender answered, `dataLoss` when it broke the protocol, and what `destination` throws.
  @discardableResult
  public func run(
    on client: ChannelPool.Client, until deadline: ContinuousClock.Instant?, into destination: some HandoffDestination
  ) async throws -> PrefillEnd {
    let request = StreamingClientRequest<Request> { try await send(to: $0) }
    return try await withCallDeadline(deadline) {
      try await client.bidirectionalStreaming(
        request: request, descriptor: Request.method, serializer: ProtobufSerializer<Request>(),
        deserializer: Request.responses, options: .defaults
      ) { response in
        defer { control.close() }
        return try await receive(response.messages, into: destination)
      }
    }
  }

  private func send(to writer: RPCWriter<Request>) async throws {
    try await writer.write(open)
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

  private func receive(
    _ messages: RPCAsyncSequence<HandoffMessage<ReceivedBlock>, any Error>, into target: some HandoffDestination
  ) async throws -> PrefillEnd {
    var destination = target
    var receiver = HandoffReceiver(configuration: configuration)
    var result: PrefillEnd?
    for try await message in messages {
      var arrived: ReceivedBlock?
      let checked: HandoffMessage<BlockFrame>
      switch message {
      case .queued(let ahead):
        destination.queued(ahead: ahead)
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
        case .bind(let blocks): actions += try receiver.bound(try await destination.bind(blocks))
        case .write(let position):
          guard let arrived else { throw ServingError(.internalError, "a write without a block") }
          actions += try receiver.wrote(checksum: try destination.write(arrived, at: position))
        case .commit(let position, let checksum): destination.commit(at: position, checksum: checksum)
        case .sendCredit(let count): control.credit(count)
        case .sendAck(let index): control.acknowledge(below: index)
        case .complete(let end):
          result = end
          destination.completed()
          // The status is right behind; the stream should end in order.
          control.close()
        }
      }
      if receiver.hasStarted { destination.advanced() }
    }
    try receiver.closed()
    guard let result else { throw ServingError(.internalError, "a hand-off without a result") }
    return result
  }
}
