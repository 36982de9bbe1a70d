import DecodeServer
import Directory
import Foundation
import Logging
import Observability
import RPC
import Routing
import ServiceLifecycle
import ServingTypes
import UnixSignals

/// `baton serve` and `baton generate --model`: a router and a worker of both roles in one process, which talk over a local
/// socket and share the directory in memory.
struct EmbeddedProcess {
  private let model: ModelSettings
  private let engine: EngineSettings
  private let router: RouterSettings?
  private let logger: Logger

  init(settings: ServeSettings, logger: Logger) {
    model = settings.router.model
    engine = settings.engine
    router = settings.router
    self.logger = logger
  }

  init(model: ModelSettings, engine: EngineSettings, logger: Logger) {
    self.model = model
    self.engine = engine
    router = nil
    self.logger = logger
  }

  /// The parts that both ways of running share.
  private struct Parts {
    var worker: WorkerServer
    var served: ServedModel
    var directory: InMemoryDirectory
    var registry: MetricsRegistry
    var channels: ChannelPool
  }

  /// Serves until a signal ends it.
  func run() async throws {
    guard let settings = router else { return }
    let loaded = try LoadedModel(model, threads: engine.threads)
    try await withSocket { path in
      let parts = try assemble(
        loaded, socket: path, drainTimeout: settings.server.drainTimeout, selfTest: SelfTestConfiguration(),
        livenessTimeout: settings.server.livenessTimeout)
      defer { parts.channels.close() }
      let assembly = try RouterAssembly(
        settings: settings, model: parts.served, directory: parts.directory, registry: parts.registry,
        worker: parts.worker, logger: logger)
      try await ProcessLifecycle.run(
        [parts.worker] + assembly.services(waitsForWorker: true, logger: logger),
        drainTimeout: settings.server.drainTimeout, logger: logger)
    }
  }

  /// Answers one request.
  ///
  /// - Parameter show: called with each piece of text.
  func generate(
    _ request: GenerationRequest, into transcript: inout GenerationTranscript,
    show: @Sendable @escaping (String) throws -> Void
  ) async throws {
    let loaded = try LoadedModel(model, threads: engine.threads)
    let signals = await UnixSignalsSequence(trapping: .sigterm, .sigint)
    let started = transcript
    transcript = try await withSocket { path in
      let parts = try assemble(loaded, socket: path, drainTimeout: .zero)
      defer { parts.channels.close() }
      let routing = RequestRouter(
        models: [parts.served], directory: parts.directory, channels: parts.channels, metrics: parts.registry,
        logger: logger)
      return try await withThrowingTaskGroup(of: GenerationTranscript?.self) { group in
        group.addTask {
          try await parts.worker.run()
          return nil
        }
        group.addTask {
          await routing.run()
          return nil
        }
        group.addTask {
          // The folder of the socket must go, so a signal ends the request, not the process.
          for await _ in signals { throw ServingError(.cancelled, "interrupted") }
          return nil
        }
        group.addTask { try await Self.answer(request, by: routing, into: started, show: show) }
        defer { group.cancelAll() }
        while let result = try await group.next() {
          if let result { return result }
        }
        throw ServingError(.internalError, "the engine ended before its answer")
      }
    }
  }

  private static func answer(
    _ request: GenerationRequest, by router: RequestRouter, into transcript: GenerationTranscript,
    show: @Sendable (String) throws -> Void
  ) async throws -> GenerationTranscript {
    var transcript = transcript
    let limit = ContinuousClock.now + .seconds(60)
    while router.registry.liveDecodeWorkers == 0 {
      if ContinuousClock.now > limit {
        throw ServingError(.unavailable, "the worker in this process did not come up within 60 seconds")
      }
      try await Task.sleep(for: .milliseconds(5))
      await router.registry.refresh()
    }
    transcript.start()
    let generation = try await router.generate(request)
    transcript.begin(
      requestID: generation.head.requestID.value, model: generation.head.model,
      promptTokens: generation.head.promptTokens)
    for try await update in generation.updates { try show(transcript.append(update)) }
    return transcript
  }

  private func assemble(
    _ loaded: LoadedModel, socket: String, drainTimeout: Duration, selfTest: SelfTestConfiguration? = nil,
    livenessTimeout: Duration = .seconds(60)
  ) throws -> Parts {
    let registry = MetricsRegistry()
    let directory = InMemoryDirectory()
    let channels = try ChannelPool()
    let core = try loaded.makeEngine(engine, schedulerThreads: router?.numSchedulerThreads, logger: logger)
    let worker = try WorkerServer(
      engine: core, tokenizer: loaded.tokenizer,
      configuration: WorkerConfiguration(
        id: WorkerID("local"), role: .both, model: model.servedName, listen: "unix:\(socket)",
        drainTimeout: drainTimeout, selfTest: selfTest, livenessTimeout: livenessTimeout),
      directory: directory, channels: channels, metrics: registry, logger: logger)
    let served = ServedModel(
      model, file: loaded.file, tokenizer: loaded.tokenizer, contextLength: core.maximumContextLength, logger: logger)
    return Parts(worker: worker, served: served, directory: directory, registry: registry, channels: channels)
  }

  private func withSocket<Result>(_ body: (String) async throws -> Result) async throws -> Result {
    let folder = try Self.makeSocketFolder()
    defer { try? FileManager.default.removeItem(atPath: folder) }
    return try await body(folder + "/worker.sock")
  }

  /// A folder that only this user may enter.
  private static func makeSocketFolder() throws(ServingError) -> String {
    let path = FileManager.default.temporaryDirectory.appending(path: "baton-\(RequestID.random().value.prefix(12))")
      .path
    do {
      try FileManager.default.createDirectory(
        atPath: path, withIntermediateDirectories: false, attributes: [.posixPermissions: 0o700])
    } catch {
      throw ServingError(.internalError, "can't make the folder \(path) for a socket: \(error.localizedDescription)")
    }
    return path
  }
}
