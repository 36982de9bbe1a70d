import DecodeServer
import Directory
import Engine
import Foundation
import GRPCCore
import GRPCTransport
import Logging
import Observability
import PrefillServer
import RPC
import ServingProtos
import ServingTestKit
import ServingTypes
import Testing

/// A worker of a test: real server, real transport, simulated model.
struct TestWorker: Sendable {
  let engine: EngineCore
  let server: WorkerServer
  let metrics: MetricsRegistry
  let record: SimulatedExecutor.Record

  var reference: Baton_V1_WorkerReference { Baton_V1_WorkerReference(server.reference) }

  /// Nothing runs any more, nothing is pinned, and the books are right.
  func expectIdle() async throws {
    var statistics = engine.statistics
    for _ in 0..<2000 where statistics.activeBlocks > 0 || statistics.runningSequences > 0 {
      try await Task.sleep(for: .milliseconds(5))
      statistics = engine.statistics
    }
    #expect(statistics.failure == nil, "\(server.configuration.id)")
    #expect(statistics.activeBlocks == 0, "\(server.configuration.id)")
    #expect(statistics.pinnedBlocks == 0, "\(server.configuration.id)")
    #expect(statistics.waitingSequences == 0, "\(server.configuration.id)")
    try await engine.checkIntegrity()
  }
}

struct WorkerOptions: Sendable {
  var role = WorkerRole.decode
  var blockCount = 512
  var model = "simulated"
  var engine = EngineConfiguration(handoffChunkSize: 32, targetStepTime: .zero, checkIntegrityOnIdle: true)
  var decode = DecodeConfiguration(
    creditWindow: 4, connectTimeout: .seconds(10), queueTimeout: .seconds(60), stallTimeout: .seconds(60),
    localPrefillTokens: 0)
  var cost = SimulatedExecutor.Cost()
  var text = SimulatedExecutor.Text.random
  /// Of the draft model, where the engine drafts by one.
  var draftText = SimulatedExecutor.Text.random
  var endOfGeneration: [TokenID] = []
  var drainTimeout = Duration.seconds(20)
  var sendStallTimeout = Duration.seconds(60)
  var selfTest: SelfTestConfiguration?
  var livenessTimeout = Duration.seconds(60)

  static let prefill = WorkerOptions(role: .prefill)
  static let decode = WorkerOptions(role: .decode)

  func makeEngine(record: SimulatedExecutor.Record = .init()) throws -> EngineCore {
    try EngineCore(
      executor: SimulatedExecutor(
        blockCount: blockCount, endOfGenerationTokens: endOfGeneration, text: text, cost: cost, model: model,
        record: record), draftExecutor: draftExecutor(),
      configuration: engine)
  }

  private func draftExecutor() throws -> sending SimulatedExecutor? {
    guard engine.speculates, engine.specMethod == .draft else { return nil }
    return try SimulatedExecutor(blockCount: blockCount, text: draftText, model: "draft")
  }

  func makeWorker(
    _ index: Int, channels: ChannelPool, directory: (any BlockDirectory)? = nil
  ) throws -> TestWorker {
    let record = SimulatedExecutor.Record()
    let engine = try makeEngine(record: record)
    let metrics = MetricsRegistry()
    var logger = Logger(label: "test")
    logger.logLevel = ProcessInfo.processInfo.environment["BATON_TEST_LOG"] == nil ? .critical : .info
    let server = try WorkerServer(
      engine: engine, tokenizer: PlainTokenizer(),
      configuration: WorkerConfiguration(
        id: WorkerID("\(role.rawValue)-\(index)"), role: role, model: "simulated", decode: decode,
        drainTimeout: drainTimeout, drainNotice: .zero, sendStallTimeout: sendStallTimeout, selfTest: selfTest,
        livenessTimeout: livenessTimeout),
      directory: directory, channels: channels, metrics: metrics, logger: logger)
    return TestWorker(engine: engine, server: server, metrics: metrics, record: record)
  }
}

/// Runs workers while `body` does, then proves that nothing leaked.
func withWorkers<Result: Sendable>(
  _ options: [WorkerOptions], _ body: @escaping @Sendable ([TestWorker], ChannelPool) async throws -> Result
) async throws -> Result {
  let channels = try ChannelPool()
  let workers = try options.enumerated().map { try $1.makeWorker($0, channels: channels) }
  return try await withThrowingTaskGroup(of: Void.self) { group in
    for worker in workers { group.addTask { try await worker.server.run() } }
    let result = try await body(workers, channels)
    for worker in workers { try await worker.expectIdle() }
    group.cancelAll()
    while let ended = await group.nextResult() {
      if case .failure(let error) = ended, !(error is CancellationError) { throw error }
    }
    channels.close()
    return result
  }
}
