import Engine
import GRPCCore
import GRPCProtobuf
import GRPCTransport
import KVTransfer
import RPC
import ServingProtos
import ServingTypes
import Testing

/// A `Blocks` service over a real engine that breaks the protocol in one way.
struct FaultyHolder: RegistrableRPCService {
  /// Beyond what a prefill worker does wrong.
  enum Kind: Sendable, CustomTestStringConvertible {
    case fault(Fault)
    /// Says that it has more blocks than it was asked for.
    case promisesTooMuch
    /// Gives so many blocks and says that these are all.
    case has(Int)
    case refuses(RPCError.Code)

    var testDescription: String { "\(self)" }
  }

  let engine: EngineCore
  let kind: Kind

  func registerMethods<Transport: ServerTransport>(with router: inout RPCRouter<Transport>) {
    var fault = Fault.closesAfter(messages: .max)
    if case .fault(let given) = kind { fault = given }
    router.registerHandler(
      forMethod: Baton_V1_Blocks.Method.Fetch.descriptor,
      deserializer: ProtobufDeserializer<Baton_V1_FetchRequest>(),
      serializer: FaultySerializer(fault: fault, right: FetchResponseSerializer())
    ) { [fault] request, _ in
      StreamingServerResponse { writer in
        try await serve(request.messages, writer, fault)
        return [:]
      }
    }
  }

  private func serve(
    _ messages: RPCAsyncSequence<Baton_V1_FetchRequest, any Error>, _ writer: RPCWriter<HandoffMessage<LentBlock>>,
    _ fault: Fault
  ) async throws {
    var requests = messages.makeAsyncIterator()
    guard case .open(let open) = try await requests.next()?.message else { return }
    if case .refuses(let code) = kind { throw RPCError(code: code, message: "no") }
    var loans = await engine.lend(open.hashes.compactMap { BlockHash(bytes: $0) })
    if case .has(let count) = kind { loans = Array(loans.prefix(count)) }
    var sent = 0
    var credit = 0
    func write(_ message: HandoffMessage<LentBlock>) async throws -> Bool {
      switch fault {
      case .diesAfter(sent): throw RPCError(code: .unavailable, message: "gone")
      case .closesAfter(sent): return false
      case .stallsAfter(sent): try await Task.sleep(for: .seconds(60))
      default: break
      }
      try await writer.write(message)
      sent += 1
      return true
    }
    var announced = loans.count
    if case .promisesTooMuch = kind { announced = open.hashes.count + 1 }
    guard try await write(.start(blocks: announced, cachedTokens: 0)) else { return }
    for (offset, loan) in loans.enumerated() {
      var isCredited = false
      if case .ignoresCredit = fault { isCredited = true }
      while !isCredited, offset >= credit {
        guard let request = try await requests.next() else { return }
        if case .credit(let more) = request.message { credit += Int(more.blocks) }
      }
      let block = LentBlock(loan, index: Int(open.firstIndex) + offset)
      guard try await write(.block(block)) else { return }
      if case .duplicated = fault { try await writer.write(.block(block)) }
    }
    _ = try await write(.end(PrefillEnd(firstTokens: [])))
  }
}

/// Serves a faulty holder of what `request` asks for while `body` runs; its reference has the incarnation 1.
func withFaultyHolder<Result: Sendable>(
  _ kind: FaultyHolder.Kind, of request: Baton_V1_DecodeRequest, options: WorkerOptions = .decode,
  _ body: @escaping @Sendable (Baton_V1_BlockHolder) async throws -> Result
) async throws -> Result {
  let engine = try options.makeEngine()
  engine.start()
  for try await _ in try engine.generate(
    EngineRequest(
      prompt: try tokenIDs(request.promptTokens, field: "prompt"), sampling: try SamplingParameters(request.sampling))
  ).events {}
  let transport = try LibGRPCServerTransport(address: "127.0.0.1:0")
  let server = GRPCServer(transport: transport, services: [FaultyHolder(engine: engine, kind: kind)])
  let address = transport.address
  return try await withThrowingTaskGroup(of: Void.self) { group in
    group.addTask { try await server.serve() }
    let result = try await body(
      .with {
        $0.worker.id = "faulty"
        $0.worker.address = address
        $0.worker.incarnation = 1
        $0.blocks = 100
      })
    group.cancelAll()
    while await group.nextResult() != nil {}
    await engine.drain()
    try await engine.checkIntegrity()
    await engine.stop()
    return result
  }
}
