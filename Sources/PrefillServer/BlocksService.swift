import Engine
import GRPCCore
import GRPCProtobuf
import KVTransfer
import RPC
import ServingProtos
import ServingTypes

/// `baton.v1.Blocks`: lends prefix blocks that lie in this worker's cache to any worker of the same layout.
public struct BlocksService: RegistrableRPCService {
  /// Hashes of one call: a sequence of 2^20 tokens in blocks of 16.
  private static let mostHashes = 1 << 16

  private let engine: EngineCore
  private let worker: WorkerState
  private let statistics: TransferStatistics
  private let stallTimeout: Duration
  private let clock: ServingClock

  /// - Parameter stallTimeout: how long a receiver may take nothing while blocks wait for it.
  public init(
    engine: EngineCore, worker: WorkerState, statistics: TransferStatistics, stallTimeout: Duration = .seconds(60),
    clock: ServingClock = .continuous
  ) {
    self.engine = engine
    self.worker = worker
    self.statistics = statistics
    self.stallTimeout = stallTimeout
    self.clock = clock
  }

  public func registerMethods<Transport: ServerTransport>(with router: inout RPCRouter<Transport>) {
    router.registerHandler(
      forMethod: Baton_V1_Blocks.Method.Fetch.descriptor,
      deserializer: ProtobufDeserializer<Baton_V1_FetchRequest>(), serializer: FetchResponseSerializer()
    ) { request, context in
      StreamingServerResponse { writer in
        try await serve(request.messages, writer: writer)
        return [:]
      }
    }
  }

  private func serve(
    _ messages: RPCAsyncSequence<Baton_V1_FetchRequest, any Error>, writer: RPCWriter<HandoffMessage<LentBlock>>
  ) async throws {
    var requests = messages.makeAsyncIterator()
    guard case .open(let open) = try await requests.next()?.message else {
      throw ServingError(.invalidArgument, "a fetch begins with open")
    }
    let hashes = try check(open)
    // A worker that leaves has blocks that others may want.
    let call = try worker.calls.begin(isWelcome: true) {}
    defer { worker.calls.end(call) }
    let firstIndex = Int(open.firstIndex)
    let handoff = SendingHandoff(firstIndex: firstIndex, clock: clock, mutants: worker.mutants)
    let start = clock.now
    var isComplete = false
    defer {
      handoff.abandon()
      let isCounted = open.requestID != worker.selfTestSalt
      let blocks = handoff.sentBlocks
      let bytes = blocks * engine.layout.blockBytes()
      let seconds = (clock.now - start) / .seconds(1)
      statistics.count { [isComplete] counts in
        guard isCounted else { return }
        counts.sentBlocks += blocks
        counts.sentBytes += bytes
        counts.sendSeconds += seconds
        if isComplete { counts.completedSends += 1 } else { counts.failedSends += 1 }
      }
    }
    try handoff.lend(await engine.lend(hashes), firstIndex: firstIndex)
    try await handoff.run(
      events: nil, requests: requests,
      control: { request in
        switch request.message {
        case .credit(let credit): .credit(Int(credit.blocks))
        case .ack(let ack): .acknowledge(below: Int(ack.blocks))
        case .open, nil: .unexpected
        }
      }, writer: writer, stallTimeout: stallTimeout)
    isComplete = true
  }

  private func check(_ open: Baton_V1_FetchOpen) throws(ServingError) -> [BlockHash] {
    try worker.expect(incarnation: open.expectedIncarnation)
    try worker.expect(layoutDigest: open.layoutDigest, description: open.layout, of: engine.layout)
    guard open.hashes.count <= Self.mostHashes else {
      throw ServingError(.invalidArgument, "hashes has \(open.hashes.count) entries; at most \(Self.mostHashes)")
    }
    guard open.firstIndex < 1 << 30 else {
      throw ServingError(.invalidArgument, "first_index is \(open.firstIndex)")
    }
    var hashes: [BlockHash] = []
    hashes.reserveCapacity(open.hashes.count)
    for (index, bytes) in open.hashes.enumerated() {
      guard let hash = BlockHash(bytes: bytes) else {
        throw ServingError(.invalidArgument, "hashes[\(index)] is \(bytes.count) bytes long; a hash has 16")
      }
      hashes.append(hash)
    }
    return hashes
  }
}
