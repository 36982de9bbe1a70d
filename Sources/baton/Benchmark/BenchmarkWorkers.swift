import DecodeServer
import Directory
import Engine
import Foundation
import GRPCCore
import Logging
import Observability
import RPC
import ServingProtos
import ServingTypes

/// Workers of this process, over local sockets and with shared weights.
struct BenchmarkWorkers {
  let loaded: LoadedModel
  let channels: ChannelPool
  let logger: Logger
  private let folder: URL

  /// - Parameter body: makes workers by `worker` and asks them within `serve`.
  static func with<Result>(
    _ loaded: LoadedModel, logger: Logger, _ body: (BenchmarkWorkers) async throws -> Result
  ) async throws -> Result {
    let folder = FileManager.default.temporaryDirectory.appending(path: "baton-\(RequestID.random().value.prefix(12))")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: false)
    defer { try? FileManager.default.removeItem(at: folder) }
    let channels = try ChannelPool()
    defer { channels.close() }
    return try await body(BenchmarkWorkers(loaded: loaded, channels: channels, logger: logger, folder: folder))
  }

  func worker(_ role: WorkerRole, named name: String, _ settings: EngineSettings) throws -> WorkerServer {
    try WorkerServer(
      engine: try loaded.makeEngine(settings, logger: logger), tokenizer: loaded.tokenizer,
      configuration: WorkerConfiguration(
        id: WorkerID(name), role: role, model: loaded.settings.servedName, listen: "unix:\(folder.path)/\(name)",
        drainTimeout: .zero),
      channels: channels, metrics: MetricsRegistry(), logger: logger)
  }

  /// Runs the workers while `body` does.
  static func serve<Result>(_ workers: [WorkerServer], _ body: () async throws -> Result) async throws -> Result {
    try await withThrowingTaskGroup(of: Void.self) { group in
      for worker in workers { group.addTask { try await worker.run() } }
      defer { group.cancelAll() }
      let limit = ContinuousClock.now + .seconds(60)
      while !workers.allSatisfy(\.isReady) {
        if ContinuousClock.now > limit { throw ServingError(.unavailable, "the workers did not come up") }
        try await Task.sleep(for: .milliseconds(5))
      }
      return try await body()
    }
  }

  /// One request; the seconds until its last word, by this caller's clock.
  static func ask(
    _ worker: WorkerServer, _ prompt: [TokenID], maxTokens: UInt32 = 1, prefill: WorkerServer? = nil,
    holder: WorkerServer? = nil, over channels: ChannelPool
  ) async throws -> (seconds: Double, response: Baton_V1_DecodeResponse) {
    let request = Baton_V1_DecodeRequest.with {
      $0.requestID = RequestID.random().value
      $0.promptTokens = prompt.map { UInt32(bitPattern: $0) }
      $0.sampling = .with {
        $0.temperature = 0
        $0.maxTokens = maxTokens
        $0.ignoreEos = true
      }
      if let prefill { $0.prefillCandidates = [Baton_V1_WorkerReference(prefill.reference)] }
      if let holder {
        let blocks = prompt.count / worker.engine.layout.blockSize
        $0.holders = [Baton_V1_BlockHolder(BlockHolder(worker: holder.reference, blocks: blocks))]
      }
    }
    let start = ContinuousClock.now
    let last = try await channels.withClient(of: ServerAddress(worker.boundAddress), for: .tokens) { client in
      try await Baton_V1_Decode.Client(wrapping: client).decode(request) { response in
        var last = Baton_V1_DecodeResponse()
        for try await message in response.messages { last = message }
        return last
      }
    }
    return ((ContinuousClock.now - start) / .seconds(1), last)
  }
}
