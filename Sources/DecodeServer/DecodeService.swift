import Engine
import GRPCCore
import GRPCTransport
import KVTransfer
import Logging
import PrefillServer
import RPC
import ServingProtos
import ServingTypes
import Tokenization

/// `baton.v1.Decode`: takes prompts' blocks from prefill workers, or computes them, and generates.
///
/// A stream's end, however it comes, frees everything that the request holds here and at the prefill worker.
public struct DecodeService: Baton_V1_Decode.SimpleServiceProtocol {
  let engine: EngineCore
  let tokenizer: any Tokenizer
  let worker: WorkerState
  let channels: ChannelPool
  let configuration: DecodeConfiguration
  let statistics: TransferStatistics
  let metrics: DecodeMetrics
  let logger: Logger
  let clock: ServingClock
  private let probes: LivenessProbes

  public init(
    engine: EngineCore, tokenizer: any Tokenizer, worker: WorkerState, channels: ChannelPool,
    configuration: DecodeConfiguration = DecodeConfiguration(), statistics: TransferStatistics, metrics: DecodeMetrics,
    logger: Logger, clock: ServingClock = .continuous
  ) {
    self.engine = engine
    self.tokenizer = tokenizer
    self.worker = worker
    self.channels = channels
    self.configuration = configuration
    self.statistics = statistics
    self.metrics = metrics
    self.logger = logger
    self.clock = clock
    probes = LivenessProbes(channels: channels, timeout: configuration.probeTimeout, clock: clock)
  }

  public func decode(
    request: Baton_V1_DecodeRequest, response: RPCWriter<Baton_V1_DecodeResponse>, context: ServerContext
  ) async throws {
    let call = try DecodeCall(
      request, worker: worker, vocabularySize: engine.vocabularySize, deadline: context.deadline)
    let outbox = DecodeOutbox()
    let ticket = try worker.calls.begin { outbox.fail(WorkerCalls.leaving) }
    defer { worker.calls.end(ticket) }
    // Cancelled and awaited at this scope's end; what goes wrong in it reaches the writer through the outbox.
    async let _ = produce(call, outbox)
    try await outbox.write(to: response)
    logger.debug("request ended", metadata: ["request_id": "\(call.request.id)"])
  }

  /// Runs the request and fills the outbox. The engine is never held up by a slow client.
  private func produce(_ call: DecodeCall, _ outbox: DecodeOutbox) async {
    let metrics = call.request.cacheSalt == worker.selfTestSalt ? nil : metrics
    do {
      var run = DecodeRun(call, tokenizer: tokenizer, worker: worker, clock: clock)
      let generation = try await begin(call, &run, outbox)
      defer { generation.cancel() }
      for (sample, update) in run.replay() {
        outbox.add(sample: sample, update)
        generation.stop(sample: sample)
      }
      for try await event in generation.events {
        switch event {
        case .tokens(let sample, let tokens, let finish):
          let update = try run.take(sample: sample, tokens, finish, metrics: metrics)
          guard !update.tokens.isEmpty || update.finish != nil else { continue }
          outbox.add(sample: sample, update)
          if update.hasMatchedStop { generation.stop(sample: sample) }
        case .promptLogprobs(let tokens): outbox.add(promptLogprobs: tokens)
        case .finished(let summary):
          return outbox.finish(run.lastResponse(summary))
        }
      }
      throw ServingError(.internalError, "the engine ended the request without a last word")
    } catch {
      outbox.fail(error)
    }
  }

  /// Computes the prompt here, or has it computed elsewhere.
  private func begin(
    _ call: DecodeCall, _ run: inout DecodeRun, _ outbox: DecodeOutbox
  ) async throws -> GenerationHandle {
    // What is computed elsewhere says nothing of the prompt's own tokens.
    guard !call.candidates.isEmpty, call.request.sampling.promptLogprobs == nil else {
      return try engine.generate(call.request)
    }
    let handle = try engine.receive(call.request)
    do {
      let held = try await handle.reserve()
      run.reserved()
      let left = call.request.prefix.count - held * engine.layout.blockSize
      if configuration.computesHere(left: left, of: call.request.prefix.count) { return handle.computeHere() }
      if let end = try await handOff(call, handle, &run, outbox) { return handle.complete(end) }
      return handle.computeHere()
    } catch {
      handle.cancel()
      throw error
    }
  }

  /// Tries the candidates in order; nil when none could help. Blocks that came before a failure stay.
  private func handOff(
    _ call: DecodeCall, _ handle: ReceiveHandle, _ run: inout DecodeRun, _ outbox: DecodeOutbox
  ) async throws -> PrefillEnd? {
    for candidate in call.candidates.prefix(configuration.maxCandidates) {
      var receiver = HandoffReceiver.Configuration(
        creditWindow: configuration.creditWindow, blockBytes: engine.layout.blockBytes(),
        layerCount: engine.layout.groups[0].layers.count, vocabularySize: engine.vocabularySize,
        samples: call.samplesWithoutTokens)
      receiver.mutants = configuration.mutants
      let attempt = HandoffAttempt(
        open: await call.open(
          candidate, layout: engine.layout, heldBlocks: handle.heldBlocks, own: worker.reference), handle: handle,
        receiver: receiver, configuration: configuration, probes: probes, clock: clock)
      let start = clock.now
      do {
        let address = try ServerAddress(candidate.address)
        let end = try await channels.withClient(of: address, for: .blocks) { client in
          try await attempt.run(on: client, of: address, deadline: call.request.deadline)
        }
        let progress = count(attempt, since: start, isComplete: true, &run)
        run.handedOff(by: candidate, progress, end)
        return end
      } catch {
        let progress = count(attempt, since: start, isComplete: false, &run)
        if let failure = progress.engineFailure {
          // The engine needs the blocks itself: no candidate can help, the prompt is computed here.
          if failure.code == .aborted { break }
          throw failure
        }
        try Task.checkCancellation()
        // A request that ran out of time says nothing of the worker.
        if call.request.deadline.map({ $0 <= clock.now }) ?? false {
          throw ServingError(.deadlineExceeded, "the request's deadline passed during its hand-off")
        }
        let failure = Baton_V1_PrefillFailure(candidate, error)
        run.failed(failure)
        outbox.add(failure)
        logger.warning(
          "hand-off failed",
          metadata: [
            "request_id": "\(call.request.id)", "worker": "\(candidate.id)", "blocks": "\(progress.blocks)",
            "error": "\(error)",
          ])
      }
    }
    statistics.count { $0.fallbacks += 1 }
    return nil
  }

  private func count(
    _ attempt: HandoffAttempt, since start: ContinuousClock.Instant, isComplete: Bool, _ run: inout DecodeRun
  ) -> HandoffAttempt.Progress {
    let progress = attempt.progress.withLock { $0 }
    let bytes = progress.blocks * engine.layout.blockBytes()
    let seconds = (clock.now - start) / .seconds(1)
    statistics.count { counts in
      counts.receivedBlocks += progress.blocks
      counts.receivedBytes += bytes
      counts.receiveSeconds += seconds
      if isComplete { counts.completedReceives += 1 } else { counts.failedReceives += 1 }
    }
    run.transferred(progress.blocks, layout: engine.layout)
    return progress
  }
}

extension Baton_V1_PrefillFailure {
  /// What a caller may read of an error, in bytes.
  private static let longestReason = 300

  fileprivate init(_ candidate: WorkerReference, _ error: any Error) {
    self.init()
    let error = ServingError(any: error)
    worker = Baton_V1_WorkerReference(candidate)
    code = UInt32(StatusMapping.code(for: error.code).rawValue)
    reason = String(error.message.prefix(Self.longestReason))
  }
}
