import Engine
import GRPCCore
import GRPCProtobuf
import KVTransfer
import Logging
import RPC
import ServingProtos
import ServingTypes

/// `baton.v1.Prefill`: computes prompts for decode workers and sends their blocks.
///
/// The stream is the hand-off: whatever ends it frees everything that the request holds here.
public struct PrefillService: RegistrableRPCService {
  private let engine: EngineCore
  private let worker: WorkerState
  private let statistics: TransferStatistics
  private let stallTimeout: Duration
  private let clock: ServingClock
  private let logger: Logger

  /// - Parameter stallTimeout: how long a receiver may take nothing while blocks wait for it.
  public init(
    engine: EngineCore, worker: WorkerState, statistics: TransferStatistics, stallTimeout: Duration = .seconds(60),
    clock: ServingClock = .continuous, logger: Logger = Logger(label: "baton.prefill")
  ) {
    self.engine = engine
    self.worker = worker
    self.statistics = statistics
    self.stallTimeout = stallTimeout
    self.clock = clock
    self.logger = logger
  }

  public func registerMethods<Transport: ServerTransport>(with router: inout RPCRouter<Transport>) {
    router.registerHandler(
      forMethod: Baton_V1_Prefill.Method.Prefill.descriptor,
      deserializer: ProtobufDeserializer<Baton_V1_PrefillRequest>(), serializer: PrefillResponseSerializer()
    ) { request, context in
      StreamingServerResponse { writer in
        try await serve(request.messages, deadline: context.deadline, writer: writer)
        return [:]
      }
    }
  }

  private func serve(
    _ messages: RPCAsyncSequence<Baton_V1_PrefillRequest, any Error>, deadline: ContinuousClock.Instant?,
    writer: RPCWriter<HandoffMessage<LentBlock>>
  ) async throws {
    var requests = messages.makeAsyncIterator()
    guard case .open(let open) = try await requests.next()?.message else {
      throw ServingError(.invalidArgument, "a hand-off begins with open")
    }
    let request = try request(open, deadline: deadline)
    let handle = try engine.prefill(request, heldBlocks: Int(open.heldBlocks))
    let call: UInt64
    do {
      call = try worker.calls.begin { handle.cancel() }
    } catch {
      handle.cancel()
      throw error
    }
    defer { worker.calls.end(call) }
    let handoff = SendingHandoff(firstIndex: Int(open.heldBlocks), clock: clock, mutants: worker.mutants)
    let start = clock.now
    var isComplete = false
    defer {
      handle.cancel()
      handoff.abandon()
      let isCounted = open.cacheSalt != worker.selfTestSalt
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
    // Said at once: a caller can tell a busy worker from a dead one.
    try handoff.engine(.queued(ahead: engine.statistics.waitingSequences))
    do {
      try await handoff.run(
        events: handle.events, requests: requests,
        control: { request in
          switch request.message {
          case .credit(let credit): .credit(Int(credit.blocks))
          case .ack(let ack): .acknowledge(below: Int(ack.blocks))
          case .open, nil: .unexpected
          }
        }, writer: writer, stallTimeout: stallTimeout)
    } catch {
      throw worker.calls.isLeaving && !Task.isCancelled ? WorkerCalls.leaving : error
    }
    isComplete = true
    logger.debug("hand-off ended", metadata: ["request_id": "\(request.id)"])
  }

  private func request(
    _ open: Baton_V1_PrefillOpen, deadline: ContinuousClock.Instant?
  ) throws(ServingError) -> EngineRequest {
    try worker.expect(incarnation: open.expectedIncarnation)
    try worker.expect(model: open.model)
    try worker.expect(layoutDigest: open.layoutDigest, description: open.layout, of: engine.layout)
    let sampling = try SamplingParameters(open.sampling)
    return EngineRequest(
      id: open.requestID.isEmpty ? .random() : RequestID(open.requestID),
      prompt: try tokenIDs(open.promptTokens, field: "prompt_tokens"),
      generated: try generatedTokens(open.generated, n: sampling.n), sampling: sampling, cacheSalt: open.cacheSalt,
      tenant: open.tenant, priority: Int(open.priority), deadline: deadline,
      holders: try BlockHolder.list(open.holders, besides: worker.id))
  }
}
