import DecodeServer
import Directory
import Foundation
import GRPCTransport
import Logging
import ModelRuntime
import Observability
import OpenAIAPI
import RPC
import Routing
import ServiceLifecycle
import ServingTypes
import Tokenization

/// A router with its two faces, HTTP and gRPC, as a router's process and the embedded one run it.
struct RouterAssembly {
  let router: RequestRouter
  let registry: MetricsRegistry
  private let inference: InferenceServer
  private let http: OpenAIServer?
  private let settings: RouterSettings

  /// - Parameter worker: the one of this process, whose engine must turn too.
  init(
    settings: RouterSettings, model: ServedModel, directory: (any BlockDirectory)?, registry: MetricsRegistry,
    worker: WorkerServer? = nil, logger: Logger
  ) throws(ServingError) {
    self.settings = settings
    self.registry = registry
    var configuration = RoutingConfiguration()
    configuration.policy = settings.policy
    configuration.maximumHolders = settings.fetchHolders
    configuration.fetchBlockCost = settings.fetchBlockCost
    configuration.localPrefillTokens = settings.localPrefillTokens
    configuration.numSchedulerThreads = settings.numSchedulerThreads
    configuration.streamStallTimeout = settings.streamStallTimeout
    configuration.probeTimeout = settings.server.probeTimeout
    configuration.maximumMigrations = settings.maxMigrations
    configuration.requestTimeout = settings.requestTimeout
    configuration.maximumBodyBytesInFlight = settings.maxBodyBytesInFlight
    var workers: [ServerAddress] = []
    for address in settings.workers { workers.append(try ServerAddress(address)) }
    // Tokens come in and go out on one thread: none of them has to wake another.
    let queue: CompletionQueue
    do {
      queue = try CompletionQueue(name: "grpc-router")
    } catch {
      throw ServingError(any: error)
    }
    router = RequestRouter(
      models: [model], directory: directory, staticWorkers: workers,
      channels: try settings.server.channels(queue: queue), configuration: configuration,
      executor: queue.executor, metrics: registry, logger: logger)
    inference = try InferenceServer(router: router, settings: settings.server, queue: queue)
    if let listen = try settings.server.httpListener() {
      http = OpenAIServer(
        configuration: OpenAIServerConfiguration(
          listen: listen, apiKeys: settings.apiKey.map { [$0] } ?? [],
          requestTimeout: settings.requestTimeout),
        backend: InferenceBackend(
          router, model: model, worker: worker, livenessTimeout: settings.server.livenessTimeout), registry: registry,
        logger: logger)
    } else {
      http = nil
    }
  }

  /// In the order of starting; they stop in the opposite one: requests end, then the faces, then the router.
  ///
  /// - Parameter waitsForWorker: whether the process calls itself ready only once a decode worker is live.
  func services(waitsForWorker: Bool = false, logger: Logger) -> [any Service] {
    var services: [any Service] = [
      RouterService(router: router), inference,
    ]
    if let http { services.append(http) }
    let grpc = inference.boundAddress
    services.append(
      ReadyAnnouncement(logger: logger) { [http, settings, router] in
        while waitsForWorker && router.registry.liveDecodeWorkers == 0 {
          try await Task.sleep(for: .milliseconds(5))
          await router.registry.refresh()
        }
        guard let http else { return ["grpc": "\(grpc)"] }
        return ["grpc": "\(grpc)", "http": "\(settings.server.httpAddress(port: try await http.boundPort.wait()))"]
      })
    services.append(RouterDrain(router: router, inference: inference, timeout: settings.server.drainTimeout))
    return services
  }
}

extension InferenceBackend {
  init(_ router: RequestRouter, model: ServedModel, worker: WorkerServer?, livenessTimeout: Duration) {
    self.init(
      generate: { try await router.generate($0) },
      models: { router.models },
      tokenBytes: { _, token in Array(model.tokenizer.bytes(of: token)) },
      readiness: { router.unreadyReason.map { .notReady($0) } ?? .ready },
      liveness: {
        if worker?.isLive == false { return .notReady("the engine's thread stands still") }
        return router.isLive(within: livenessTimeout) ? .ready : .notReady("the router's tasks stand still")
      },
      status: { StatusReport(router) }, bodies: router.bodies)
  }
}

extension StatusReport {
  init(_ router: RequestRouter) {
    let now = ContinuousClock.now
    let workers = router.workers.map { worker in
      let record = worker.record
      return Worker(
        id: record.id, role: record.role, address: record.reference.address, model: record.model,
        state: record.isDraining ? "draining" : worker.isDoubtful(at: now) ? "lost" : "live",
        runningSequences: record.load.runningSequences, waitingSequences: record.load.waitingSequences,
        usedBlocks: record.load.activeBlocks, totalBlocks: record.blockCount)
    }
    let directory =
      switch router.directoryStatistics {
      case nil: "none"
      case .some(let statistics): statistics.isConnected ? "connected" : "disconnected"
      }
    self.init(workers: workers, directory: directory)
  }
}

extension ServedModel {
  /// What a router needs of a model's file.
  init(_ settings: ModelSettings, file: GGUFFile, tokenizer: any Tokenizer, contextLength: Int, logger: Logger) {
    var template: ChatTemplate?
    do throws(ServingError) {
      template = try file.makeChatTemplate()
    } catch {
      logger.notice("no chats", metadata: ["model": "\(settings.servedName)", "reason": "\(error.message)"])
    }
    self.init(
      name: settings.servedName, tokenizer: tokenizer, chatTemplate: template, contextLength: contextLength,
      created: Int64(Date().timeIntervalSince1970))
  }
}
