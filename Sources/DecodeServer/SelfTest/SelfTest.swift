import Engine
import Foundation
import GRPCCore
import GRPCProtobuf
import GRPCTransport
import KVTransfer
import PrefillServer
import RPC
import ServingProtos
import ServingTypes

/// A tiny request that a worker sends to itself, through its own services and its own connections.
///
/// It is shorter than a block and has a salt of its own, so that it leaves nothing in any cache and nothing to announce.
struct SelfTest: Sendable {
  private static let newTokens = 2

  let engine: EngineCore
  let worker: WorkerState
  let channels: ChannelPool
  /// Where this worker answers.
  let address: ServerAddress

  /// Runs what the role allows: a prompt, its transfer and its decoding.
  ///
  /// - Throws: what went wrong.
  func run(deadline: ContinuousClock.Instant) async throws {
    if worker.role.servesDecode { try await decode(deadline: deadline) }
    if worker.role.servesPrefill { try await prefill(deadline: deadline) }
    try await fetch(deadline: deadline)
  }

  private var prompt: [TokenID] {
    // With the answer it stays shorter than a block of 8, the smallest there is.
    (0..<TokenID(min(4, max(1, engine.maximumContextLength - Self.newTokens)))).map {
      $0 % TokenID(clamping: engine.vocabularySize)
    }
  }

  private var sampling: SamplingParameters {
    SamplingParameters(temperature: 0, seed: 0, maxTokens: Self.newTokens, ignoreEOS: true, speculative: false)
  }

  private func decode(deadline: ContinuousClock.Instant) async throws {
    var request = Baton_V1_DecodeRequest()
    request.requestID = "self-test-\(RequestID.random().value.prefix(8))"
    request.promptTokens = wireTokens(prompt)
    request.sampling = Baton_V1_SamplingParameters(sampling)
    request.cacheSalt = worker.selfTestSalt
    // No client's request shall make room for it: a worker that is busy proves itself by that.
    request.priority = .min
    request.expectedIncarnation = worker.incarnation.value
    let message = request
    let (tokens, isFinished) = try await channels.withClient(of: address, for: .tokens) { client in
      try await Baton_V1_Decode.Client(wrapping: client).decode(message, options: .until(deadline)) { response in
        var tokens = 0
        var isFinished = false
        for try await part in response.messages {
          for output in part.outputs {
            tokens += output.tokens.count
            isFinished = output.finishReason == .length
          }
        }
        return (tokens, isFinished)
      }
    }
    guard tokens == Self.newTokens, isFinished else {
      throw ServingError(.internalError, "a decoding of \(Self.newTokens) tokens gave \(tokens)")
    }
  }

  private func prefill(deadline: ContinuousClock.Instant) async throws {
    var open = Baton_V1_PrefillOpen()
    open.requestID = "self-test-\(RequestID.random().value.prefix(8))"
    open.promptTokens = wireTokens(prompt)
    open.sampling = Baton_V1_SamplingParameters(sampling)
    open.cacheSalt = worker.selfTestSalt
    open.priority = .min
    open.expectedIncarnation = worker.incarnation.value
    open.layoutDigest = engine.layout.digest
    open.layout = engine.layout.description
    let message = open
    let control = HandoffControl()
    let request = StreamingClientRequest<Baton_V1_PrefillRequest> { writer in
      try await writer.write(.with { $0.open = message })
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
    try await channels.withClient(of: address, for: .blocks) { client in
      try await client.bidirectionalStreaming(
        request: request, descriptor: Baton_V1_Prefill.Method.Prefill.descriptor,
        serializer: ProtobufSerializer<Baton_V1_PrefillRequest>(), deserializer: PrefillResponseDeserializer(),
        options: .until(deadline)
      ) { response in
        defer { control.close() }
        try await receive(response.messages, control)
      }
    }
  }

  /// Takes the prompt's one block as a decode worker does, into memory that belongs to nobody.
  private func receive(
    _ messages: RPCAsyncSequence<HandoffMessage<ReceivedBlock>, any Error>, _ control: HandoffControl
  ) async throws {
    var receiver = HandoffReceiver(
      configuration: .init(
        creditWindow: 1, blockBytes: engine.layout.blockBytes(), layerCount: engine.layout.groups[0].layers.count,
        vocabularySize: engine.vocabularySize, samples: [0]))
    let tail = ExpectedBlock(
      index: 0, hash: nil,
      parentHash: BlockHash.root(salt: worker.selfTestSalt, blockSize: engine.layout.blockSize),
      tokenCount: prompt.count, tokens: prompt)
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
        case .bind: actions += try receiver.bound([tail])
        case .write:
          guard let arrived else { throw ServingError(.internalError, "a write without a block") }
          actions += try receiver.wrote(checksum: Self.checksum(of: arrived))
        case .commit: break
        case .sendCredit(let count): control.credit(count)
        case .sendAck(let index): control.acknowledge(below: index)
        // The status is right behind; the stream should end in order.
        case .complete: control.close()
        }
      }
    }
    try receiver.closed()
  }

  private static func checksum(of block: ReceivedBlock) -> UInt32 {
    let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: block.payloadCount, alignment: 16)
    defer { memory.deallocate() }
    return block.write(to: memory)
  }

  /// Asks for a block that nobody holds.
  private func fetch(deadline: ContinuousClock.Instant) async throws {
    var open = Baton_V1_FetchOpen()
    open.requestID = worker.selfTestSalt
    open.layoutDigest = engine.layout.digest
    open.layout = engine.layout.description
    open.expectedIncarnation = worker.incarnation.value
    open.hashes = [Data(BlockHash(high: .random(in: 0...UInt64.max), low: .random(in: 0...UInt64.max)).bytes)]
    open.parentHash = Data(BlockHash.root(salt: worker.selfTestSalt, blockSize: engine.layout.blockSize).bytes)
    let message = open
    let control = HandoffControl()
    let request = StreamingClientRequest<Baton_V1_FetchRequest> { writer in
      try await writer.write(.with { $0.open = message })
      // The holder takes an end of this side for the receiver's going away.
      for await _ in control.wakes where control.take().isClosed { return }
    }
    let answered = try await channels.withClient(of: address, for: .blocks) { client in
      try await client.bidirectionalStreaming(
        request: request, descriptor: Baton_V1_Blocks.Method.Fetch.descriptor,
        serializer: ProtobufSerializer<Baton_V1_FetchRequest>(),
        deserializer: FetchResponseDeserializer(), options: .until(deadline)
      ) { response in
        defer { control.close() }
        var answered = false
        for try await part in response.messages {
          if case .start(0, _) = part { answered = true }
        }
        return answered
      }
    }
    guard answered else { throw ServingError(.internalError, "a fetch of an unknown block was not answered") }
  }
}
