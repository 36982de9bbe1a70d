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

/// Measures the hand-off between a prefill and a decode worker of this process, over local sockets and with shared weights.
struct HandoffBenchmark {
  let loaded: LoadedModel
  let settings: EngineSettings
  let runs: Int
  let logger: Logger

  /// Prompts of `length` tokens, first computed while they are handed over, then handed over from the cache.
  func run(length: Int) async throws -> [Measurement] {
    let folder = FileManager.default.temporaryDirectory.appending(path: "baton-\(RequestID.random().value.prefix(12))")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: false)
    defer { try? FileManager.default.removeItem(at: folder) }
    let channels = try ChannelPool()
    defer { channels.close() }
    var sending = settings
    sending.engine.enablePrefixCaching = true
    sending.numBlocks = (runs + 2) * (length / settings.blockSize + 2)
    // What it received it forgets, so that each run hands everything over.
    var receiving = sending
    receiving.engine.enablePrefixCaching = false
    let prefill = try worker(.prefill, sending, folder, channels)
    let decode = try worker(.decode, receiving, folder, channels)
    return try await withThrowingTaskGroup(of: Void.self) { group in
      group.addTask { try await prefill.run() }
      group.addTask { try await decode.run() }
      defer { group.cancelAll() }
      let limit = ContinuousClock.now + .seconds(60)
      while !(prefill.isReady && decode.isReady) {
        if ContinuousClock.now > limit { throw ServingError(.unavailable, "the workers did not come up") }
        try await Task.sleep(for: .milliseconds(5))
      }
      var computed: [Double] = []
      var after: [Double] = []
      var cached: [Double] = []
      var rates: [Double] = []
      for run in 0..<runs {
        let prompt = Benchmark.tokens(length, seed: run + 77, vocabulary: decode.engine.vocabularySize)
        let first = try await request(prompt, to: decode, prefill: prefill, channels)
        computed.append(first.seconds * 1000)
        after.append((first.seconds - first.response.timeline.prefillSeconds) * 1000)
        let second = try await request(prompt, to: decode, prefill: prefill, channels)
        cached.append(second.seconds * 1000)
        rates.append(Double(second.response.route.transferredBytes) / 1_048_576 / second.seconds)
      }
      return [
        Measurement("hand-off \(length), first token", unit: "ms", values: computed),
        Measurement("hand-off \(length), beyond prefill", unit: "ms", values: after),
        Measurement("hand-off \(length), all cached", unit: "ms", values: cached),
        Measurement("hand-off \(length), all cached", unit: "MiB/s", values: rates),
      ]
    }
  }

  private func worker(
    _ role: WorkerRole, _ settings: EngineSettings, _ folder: URL, _ channels: ChannelPool
  ) throws -> WorkerServer {
    try WorkerServer(
      engine: try loaded.makeEngine(settings, logger: logger), tokenizer: loaded.tokenizer,
      configuration: WorkerConfiguration(
        id: WorkerID(role.rawValue), role: role, model: loaded.settings.servedName,
        listen: "unix:\(folder.path)/\(role.rawValue)", drainTimeout: .zero),
      channels: channels, metrics: MetricsRegistry(), logger: logger)
  }

  /// One request for one token; the seconds until its last word, by this caller's clock.
  private func request(
    _ prompt: [TokenID], to decode: WorkerServer, prefill: WorkerServer, _ channels: ChannelPool
  ) async throws -> (seconds: Double, response: Baton_V1_DecodeResponse) {
    let request = Baton_V1_DecodeRequest.with {
      $0.requestID = RequestID.random().value
      $0.promptTokens = prompt.map { UInt32(bitPattern: $0) }
      $0.sampling = .with {
        $0.temperature = 0
        $0.maxTokens = 1
        $0.ignoreEos = true
      }
      $0.prefillCandidates = [Baton_V1_WorkerReference(prefill.reference)]
    }
    let start = ContinuousClock.now
    let last = try await channels.withClient(of: ServerAddress(decode.boundAddress), for: .tokens) { client in
      try await Baton_V1_Decode.Client(wrapping: client).decode(request) { response in
        var last = Baton_V1_DecodeResponse()
        for try await message in response.messages { last = message }
        return last
      }
    }
    guard last.route.transferredBlocks > 0 else {
      throw ServingError(.internalError, "the decode worker computed the prompt itself: nothing was handed over")
    }
    return ((ContinuousClock.now - start) / .seconds(1), last)
  }
}
