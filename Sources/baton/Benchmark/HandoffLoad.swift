import DecodeServer
import Engine
import Foundation
import LoadHarness
import Logging
import ModelSimulation
import Observability
import RPC
import ServingTypes

/// How fast blocks go from a prefill to a decode worker of this process, over TCP on the loopback: one stream, blocks of a
/// model of eight billion weights, nothing else to do.
struct HandoffLoad: Sendable {
  /// The prompt whose blocks are all cached, and how often it goes over.
  var streamBlocks = 192
  var streamRuns = 5
  /// The prompts that are computed, and how many.
  var promptTokens = 768
  var prompts = 100
  /// Tokens of a chunk; the last one's blocks are what nobody can have sent before it ends.
  var chunkTokens = 256
  var layers = 32
  /// Slow enough for a chunk's blocks to be gone when the next one ends.
  var secondsPerPromptToken = 0.00025

  struct Result: Codable, Hashable, Sendable {
    var streamMebibytesPerSecond: [Double]
    /// From the last chunk's end to the decode worker's first own step.
    var lastChunkMilliseconds: [Double]
    /// What the same may take: 5 ms and the last chunk's bytes at 1,000 MiB/s.
    var allowedMilliseconds: Double

    var bars: [Bar] {
      [
        Bar(
          work: "hand-off", figure: "one stream over gRPC on the loopback", ours: streamMebibytesPerSecond.median,
          baseline: nil, .atLeast, bar: 1000, unit: "MiB/s"),
        Bar(
          work: "hand-off", figure: "last chunk's end to the first own step, p50", ours: lastChunkMilliseconds.median,
          baseline: nil, .atMost, bar: allowedMilliseconds, unit: "ms"),
      ]
    }
  }

  func run(logger: Logger) async throws -> Result {
    let channels = try ChannelPool()
    defer { channels.close() }
    let (sent, received) = (BulkExecutor.Steps(), BulkExecutor.Steps())
    let blocks = max(streamBlocks, promptTokens / 16) + 64
    let prefill = try worker(.prefill, blocks, sent, cached: true, channels, logger)
    let decode = try worker(.decode, blocks, received, cached: false, channels, logger)
    func send(_ prompt: [TokenID]) async throws -> (seconds: Double, bytes: UInt64) {
      // The prefill worker's token and one of the decode worker's own.
      let (seconds, response) = try await BenchmarkWorkers.ask(
        decode, prompt, maxTokens: 2, prefill: prefill, over: channels)
      guard response.route.transferredBlocks > 0 else {
        throw ServingError(.internalError, "the decode worker computed the prompt itself: nothing was handed over")
      }
      return (seconds, response.route.transferredBytes)
    }
    return try await BenchmarkWorkers.serve([prefill, decode]) {
      var rates: [Double] = []
      let long = Benchmark.tokens(streamBlocks * 16 + 1, seed: 1, vocabulary: 64)
      for run in 0...streamRuns {
        let answer = try await send(long)
        // The first run computes the prompt.
        if run > 0 { rates.append(Double(answer.bytes) / 1_048_576 / answer.seconds) }
      }
      var times: [Double] = []
      for run in 0..<prompts {
        _ = (sent.take(), received.take())
        _ = try await send(Benchmark.tokens(promptTokens, seed: run + 100, vocabulary: 64))
        guard let last = sent.take().last?.end, let first = received.take().first?.begin else {
          throw ServingError(.internalError, "a worker made no step")
        }
        times.append((first - last) / .milliseconds(1))
      }
      let lastChunk = (promptTokens - 1) % chunkTokens + 1
      let bytes = Double(lastChunk / 16 * decode.engine.layout.blockBytes())
      return Result(
        streamMebibytesPerSecond: rates, lastChunkMilliseconds: times,
        allowedMilliseconds: 5 + bytes / 1_048_576 / 1000 * 1000)
    }
  }

  private func worker(
    _ role: WorkerRole, _ blocks: Int, _ steps: BulkExecutor.Steps, cached: Bool, _ channels: ChannelPool,
    _ logger: Logger
  ) throws -> WorkerServer {
    let executor = try BulkExecutor(
      layers: layers, blockCount: blocks, secondsPerPromptToken: secondsPerPromptToken, steps: steps)
    var configuration = EngineConfiguration()
    configuration.swapSpace = 0
    configuration.enablePrefixCaching = cached
    configuration.enableSpecDecode = false
    configuration.targetStepTime = .zero
    configuration.handoffChunkSize = chunkTokens
    var worker = WorkerConfiguration(
      id: WorkerID(role.rawValue), role: role, model: "bulk", listen: "127.0.0.1:0", drainTimeout: .zero)
    if role.servesPrefill { worker.server.http2 = .bulk }
    return try WorkerServer(
      engine: try EngineCore(executor: executor, configuration: configuration), tokenizer: SimulatedTokenizer(),
      configuration: worker, channels: channels, metrics: MetricsRegistry(), logger: logger)
  }
}
