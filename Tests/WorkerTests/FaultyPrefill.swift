import Engine
import GRPCCore
import GRPCProtobuf
import GRPCTransport
import KVTransfer
import PrefillServer
import RPC
import ServingProtos
import ServingTypes
import Testing

/// What a faulty prefill worker does wrong.
enum Fault: Sendable, CustomTestStringConvertible {
  case flippedPayload(block: Int)
  case wrongHash(block: Int)
  case wrongParent(block: Int)
  case wrongIndex(block: Int)
  case wrongTokenCount(block: Int)
  case shortPayload(block: Int)
  case notProtobuf(block: Int)
  /// Every block twice.
  case duplicated
  /// Blocks without waiting for credit.
  case ignoresCredit
  /// The stream ends with UNAVAILABLE after this many messages.
  case diesAfter(messages: Int)
  /// The stream ends with OK after this many messages.
  case closesAfter(messages: Int)
  /// Nothing comes any more after this many messages.
  case stallsAfter(messages: Int)

  var testDescription: String { "\(self)" }
}

/// A prefill service over a real engine that breaks the protocol in one way.
struct FaultyPrefill: RegistrableRPCService {
  let engine: EngineCore
  let fault: Fault

  func registerMethods<Transport: ServerTransport>(with router: inout RPCRouter<Transport>) {
    router.registerHandler(
      forMethod: Baton_V1_Prefill.Method.Prefill.descriptor,
      deserializer: ProtobufDeserializer<Baton_V1_PrefillRequest>(),
      serializer: FaultySerializer(fault: fault, right: PrefillResponseSerializer())
    ) { request, _ in
      StreamingServerResponse { writer in
        try await serve(request.messages, writer)
        return [:]
      }
    }
  }

  private func serve(
    _ messages: RPCAsyncSequence<Baton_V1_PrefillRequest, any Error>, _ writer: RPCWriter<HandoffMessage<LentBlock>>
  ) async throws {
    var requests = messages.makeAsyncIterator()
    guard case .open(let open) = try await requests.next()?.message else { return }
    let handle = try engine.prefill(
      EngineRequest(
        prompt: try tokenIDs(open.promptTokens, field: "prompt_tokens"), sampling: try SamplingParameters(open.sampling)
      ),
      heldBlocks: Int(open.heldBlocks))
    defer { handle.cancel() }
    var sent = 0
    var blocks = 0
    var credit = 0
    for try await event in handle.events {
      switch fault {
      case .diesAfter(sent): throw RPCError(code: .unavailable, message: "gone")
      case .closesAfter(sent): return
      case .stallsAfter(sent): try await Task.sleep(for: .seconds(60))
      default: break
      }
      let message: HandoffMessage<LentBlock>
      switch event {
      case .queued(let ahead): message = .queued(ahead: ahead)
      case .started(let blocks, let cachedTokens): message = .start(blocks: blocks, cachedTokens: cachedTokens)
      case .block(let loan):
        message = .block(LentBlock(loan, index: loan.index))
        blocks += 1
        if case .ignoresCredit = fault { break }
        while blocks > credit {
          guard let request = try await requests.next() else { return }
          if case .credit(let more) = request.message { credit += Int(more.blocks) }
        }
      case .end(let end): message = .end(end)
      }
      try await writer.write(message)
      if case .duplicated = fault, case .block = message { try await writer.write(message) }
      sent += 1
    }
  }
}

/// Writes right messages, and then breaks them.
struct FaultySerializer<Right: MessageSerializer<HandoffMessage<LentBlock>>>: MessageSerializer {
  let fault: Fault
  let right: Right

  func serialize<Bytes: GRPCContiguousBytes>(_ message: HandoffMessage<LentBlock>) throws -> Bytes {
    let right: GRPCBytes = try right.serialize(message)
    guard case .block(let block) = message else { return Bytes(right.withUnsafeBytes { Array($0) }) }
    var bytes = right.withUnsafeBytes { Array($0) }
    var frame = block.frame
    let payload = Array(block.loan.bytes)
    switch fault {
    case .flippedPayload(frame.index): bytes[bytes.count - 100] ^= 4
    case .notProtobuf(frame.index): bytes = [0x1a, 0xff, 0xff]
    case .shortPayload(frame.index):
      bytes = frame.prefix(payloadCount: payload.count - 1) + payload.dropLast()
    case .wrongHash(frame.index):
      frame.hash = BlockHash(high: 1, low: 2)
      bytes = frame.prefix(payloadCount: payload.count) + payload
    case .wrongParent(frame.index):
      frame.parentHash = BlockHash(high: 1, low: 2)
      bytes = frame.prefix(payloadCount: payload.count) + payload
    case .wrongIndex(let index) where index == frame.index:
      frame.index += 1
      bytes = frame.prefix(payloadCount: payload.count) + payload
    case .wrongTokenCount(frame.index):
      frame.tokenCount -= 1
      bytes = frame.prefix(payloadCount: payload.count) + payload
    default: break
    }
    return Bytes(bytes)
  }
}

/// Serves a faulty prefill worker while `body` runs; its reference has the incarnation 1.
func withFaultyPrefill<Result: Sendable>(
  _ fault: Fault, options: WorkerOptions = .prefill, health: HealthService? = nil,
  _ body: @escaping @Sendable (Baton_V1_WorkerReference) async throws -> Result
) async throws -> Result {
  let engine = try options.makeEngine()
  engine.start()
  let transport = try LibGRPCServerTransport(address: "127.0.0.1:0")
  var services: [any RegistrableRPCService] = [FaultyPrefill(engine: engine, fault: fault)]
  if let health { services.append(health) }
  let server = GRPCServer(transport: transport, services: services)
  let address = transport.address
  return try await withThrowingTaskGroup(of: Void.self) { group in
    group.addTask { try await server.serve() }
    let result = try await body(
      .with {
        $0.id = "faulty"
        $0.address = address
        $0.incarnation = 1
      })
    group.cancelAll()
    while await group.nextResult() != nil {}
    await engine.stop()
    return result
  }
}
