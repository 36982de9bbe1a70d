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
  }

  public func decode(
    request: Baton_V1_DecodeRequest, response: RPCWriter<Baton_V1_DecodeResponse>, context: ServerContext
  ) async throws {
    let call = try DecodeCall(
      request, worker: worker, vocabularySize: engine.vocabularySize, deadline: context.deadline)
    let outbox = DecodeOutbox()
    // Cancelled and awaited at this scope's end; what goes wrong in it reaches the writer through the outbox.
    async let _ = produce(call, outbox)
    try await outbox.write(to: response)
  }

  /// Runs the request and fills the outbox. The engine is never held up by a slow client.
  private func produce(_ call: DecodeCall, _ outbox: DecodeOutbox) async {
    do {
      var run = DecodeRun(call, tokenizer: tokenizer, worker: worker, clock: clock)
      let generation = try await begin(call, &run)
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
  private func begin(_ call: DecodeCall, _ run: inout DecodeRun) async throws -> GenerationHandle {
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
      if let end = try await handOff(call, handle, &run) { return handle.complete(end) }
      return handle.computeHere()
    } catch {
      handle.cancel()
      throw error
    }
  }

  /// Tries the candidates in order; nil when none could help. Blocks that came before a failure stay.
  private func handOff(
    _ call: DecodeCall, _ handle: ReceiveHandle, _ run: inout DecodeRun
  ) async throws -> PrefillEnd? {
    for candidate in call.candidates.prefix(configuration.maxCandidates) {
      let attempt = HandoffAttempt(
        open: await call.open(
          candidate, layout: engine.layout, heldBlocks: handle.heldBlocks, own: worker.reference), handle: handle,
        receiver: .init(
          creditWindow: configuration.creditWindow, blockBytes: engine.layout.blockBytes(),
          layerCount: engine.layout.groups[0].layers.count, vocabularySize: engine.vocabularySize,
          samples: call.samplesWithoutTokens),
        configuration: configuration, clock: clock)
      let start = clock.now
      do {
        let end = try await channels.withClient(of: try ServerAddress(candidate.address), for: .blocks) { client in
          try await attempt.run(on: client, deadline: call.request.deadline)
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
