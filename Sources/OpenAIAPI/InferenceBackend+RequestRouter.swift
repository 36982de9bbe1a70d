import Directory
import Routing
import ServingTypes

extension InferenceBackend {
  /// The router of this process.
  public init(router: RequestRouter) {
    self.init(
      generate: { request in try await router.generate(request) },
      models: { router.models },
      tokenBytes: { model, token in
        guard let model = try? router.model(model) else { return [] }
        return Array(model.tokenizer.bytes(of: token))
      },
      readiness: {
        if router.registry.liveDecodeWorkers > 0 { return .ready }
        return .notReady("no live decode worker")
      },
      status: { Self.report(router) })
  }

  private static func report(_ router: RequestRouter) -> StatusReport {
    let now = ContinuousClock.now
    let workers = router.workers.map { worker in
      let record = worker.record
      let state = record.isDraining ? "draining" : worker.isDoubtful(at: now) ? "doubtful" : "live"
      return StatusReport.Worker(
        id: record.id, role: record.role, address: record.reference.address, model: record.model, state: state,
        runningSequences: record.load.runningSequences, waitingSequences: record.load.waitingSequences,
        usedBlocks: record.load.activeBlocks, totalBlocks: record.blockCount)
    }
    let directory =
      switch router.directoryStatistics?.isConnected {
      case true?: "connected"
      case false?: "not connected: routing by the router's own memory"
      case nil: "none: routing by the router's own memory"
      }
    return StatusReport(workers: workers, directory: directory)
  }
}
