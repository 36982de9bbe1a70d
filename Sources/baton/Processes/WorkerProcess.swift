import DecodeServer
import Directory
import Engine
import Logging
import ModelSimulation
import Observability
import OpenAIAPI
import ServiceLifecycle
import ServingTypes
import Tokenization

/// `baton prefill` and `baton decode`: one worker with its engine, and HTTP for its operator.
struct WorkerProcess {
  let settings: WorkerSettings
  let logger: Logger

  func run() async throws {
    let directory = try settings.server.directory(logger: logger)
    defer { directory?.close() }
    let registry = MetricsRegistry()
    registry.onCollect { collector in directory?.statistics.collect(collector) }
    var engineSettings = settings.engine
    // Who only computes prompts has nothing to guess, and needs no draft model.
    if settings.role == .prefill { engineSettings.engine.enableSpecDecode = false }
    let (engine, tokenizer) = try load(engineSettings)
    let channels = try settings.server.channels(blockBytes: engine.layout.blockBytes())
    defer { channels.close() }
    var transport = try settings.server.serverTransport()
    if settings.role.servesPrefill { transport.http2 = .bulk }
    var decode = DecodeConfiguration()
    decode.probeTimeout = settings.server.probeTimeout
    let worker = try WorkerServer(
      engine: engine, tokenizer: tokenizer,
      configuration: WorkerConfiguration(
        id: settings.workerID, role: settings.role, model: settings.model.servedName, listen: settings.server.listen,
        advertise: settings.advertise, server: transport, authToken: settings.server.authToken,
        decode: decode, drainTimeout: settings.server.drainTimeout, selfTest: settings.selfTest,
        livenessTimeout: settings.server.livenessTimeout),
      directory: directory, channels: channels, metrics: registry, logger: logger)
    var services: [any Service] = []
    var monitoring: MonitoringServer?
    if let listen = try settings.server.httpListener() {
      let server = MonitoringServer(
        listen: listen, registry: registry,
        liveness: { worker.isLive ? .ready : .notReady("the engine's thread stands still") },
        readiness: { worker.unreadyReason.map { .notReady($0) } ?? .ready }, logger: logger)
      monitoring = server
      services.append(server)
    }
    services.append(worker)
    services.append(
      ReadyAnnouncement(logger: logger) { [monitoring, settings] in
        while worker.unreadyReason != nil { try await Task.sleep(for: .milliseconds(5)) }
        var metadata: Logger.Metadata = ["grpc": "\(worker.boundAddress)", "worker": "\(settings.workerID)"]
        if let monitoring {
          metadata["http"] = "\(settings.server.httpAddress(port: try await monitoring.boundPort.wait()))"
        }
        return metadata
      })
    try await ProcessLifecycle.run(services, drainTimeout: settings.server.drainTimeout, logger: logger)
  }

  private func load(_ engine: EngineSettings) throws(ServingError) -> (EngineCore, any Tokenizer) {
    if let simulated = settings.model.simulated {
      return (try simulated.makeEngine(engine, logger: logger), SimulatedTokenizer())
    }
    let loaded = try LoadedModel(settings.model, threads: engine.threads)
    return (try loaded.makeEngine(engine, logger: logger), loaded.tokenizer)
  }
}
