import Engine
import GRPCCore
import KVTransfer
import Logging
import RPC
import ServingTypes

/// Asks other workers for the prefix blocks that an engine wants, over `Blocks.Fetch`.
///
/// The engine bounds how many fetches there are and how long each may take; whatever fails costs blocks that it computes.
public final class BlockFetcher: Sendable {
  /// How long a holder that failed is not asked again.
  private static let suspicion = Duration.seconds(5)
  private static let mostSuspects = 256

  private let engine: EngineCore
  private let channels: ChannelPool
  private let creditWindow: Int
  private let logger: Logger
  private let clock: ServingClock
  private let suspects = Lock([WorkerReference: ContinuousClock.Instant]())

  /// - Parameter creditWindow: blocks that may be under way at once; it bounds what a fetch holds outside the pool.
  public init(
    engine: EngineCore, channels: ChannelPool, creditWindow: Int = 16, logger: Logger, clock: ServingClock = .continuous
  ) {
    self.engine = engine
    self.channels = channels
    self.creditWindow = creditWindow
    self.logger = logger
    self.clock = clock
  }

  /// Serves the engine until it stops or the task is cancelled.
  public func run() async {
    await withDiscardingTaskGroup { group in
      for await fetch in engine.fetches { group.addTask { await self.carry(fetch) } }
      group.cancelAll()
    }
  }

  private func carry(_ fetch: BlockFetch) async {
    let report = await withTaskGroup(of: FetchReport?.self) { group in
      group.addTask {
        await fetch.waitUntilCalledOff()
        return nil
      }
      group.addTask { await self.ask(fetch) }
      defer { group.cancelAll() }
      return await group.next() ?? nil
    }
    fetch.end(report ?? FetchReport(failure: .unwanted))
  }

  /// Asks the holders in order for what is still missing.
  private func ask(_ fetch: BlockFetch) async -> FetchReport {
    var report = FetchReport(failure: .unreachable)
    var firstAnswer: ContinuousClock.Instant?
    for holder in fetch.holders where holder.blocks > fetch.firstIndex + report.blocks {
      // A holder that is asked when time is up cannot answer, and would be suspected of what another one took.
      guard !fetch.isCalledOff, !Task.isCancelled, clock.now < fetch.deadline else { break }
      guard isTrusted(holder.worker) else { continue }
      let asked = clock.now
      let attempt = FetchAttempt(
        fetch: fetch, holder: holder.worker, skipped: report.blocks, layout: engine.layout,
        vocabularySize: engine.vocabularySize, creditWindow: creditWindow, clock: clock)
      var failure: FetchFailure?
      do {
        try await channels.withClient(of: try ServerAddress(holder.worker.address), for: .blocks) { client in
          try await attempt.run(on: client)
        }
      } catch {
        failure = note(error, of: attempt, fetch)
      }
      let progress = attempt.progress
      if firstAnswer == nil, let answeredAt = progress.answeredAt {
        firstAnswer = answeredAt
        // What earlier holders cost says nothing of how fast one answers.
        report.latency = (answeredAt - asked) / .seconds(1)
      }
      report.blocks += progress.blocks
      report.failure = report.blocks == fetch.hashes.count ? nil : failure ?? .short
      if report.failure == nil { break }
    }
    if let firstAnswer { report.seconds = (clock.now - firstAnswer) / .seconds(1) }
    return report
  }

  private func note(_ error: any Error, of attempt: FetchAttempt, _ fetch: BlockFetch) -> FetchFailure {
    let isStalled = fetch.isCalledOff && clock.now >= fetch.deadline && attempt.progress.blocks == 0
    let isOurs = Task.isCancelled || error is CancellationError
    if isStalled || !isOurs { suspect(attempt.holder) }
    let failure = isOurs ? .unwanted : FetchFailure(ServingError(any: error).code)
    logger.info(
      "fetch failed",
      metadata: [
        "request_id": "\(fetch.requestID)", "worker": "\(attempt.holder.id)", "blocks": "\(attempt.progress.blocks)",
        "reason": "\(failure.rawValue)", "error": "\(error)",
      ])
    return failure
  }

  private func isTrusted(_ worker: WorkerReference) -> Bool {
    suspects.withLock { $0[worker].map { $0 <= clock.now } ?? true }
  }

  private func suspect(_ worker: WorkerReference) {
    let now = clock.now
    suspects.withLock { suspects in
      if suspects.count >= Self.mostSuspects { suspects = suspects.filter { $0.value > now } }
      if suspects.count < Self.mostSuspects { suspects[worker] = now + Self.suspicion }
    }
  }
}

extension FetchFailure {
  /// What a holder's answer, or its lack, says.
  init(_ code: ServingError.Code) {
    switch code {
    case .unavailable, .cancelled, .aborted: self = .unreachable
    case .failedPrecondition, .resourceExhausted, .notFound, .permissionDenied, .unauthenticated, .unimplemented:
      self = .refused
    case .deadlineExceeded: self = .slow
    case .dataLoss, .internalError, .invalidArgument: self = .corrupt
    }
  }
}
