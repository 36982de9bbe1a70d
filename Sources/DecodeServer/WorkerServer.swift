import Directory
import Engine
import GRPCCore
import GRPCTransport
import Logging
import Observability
import PrefillServer
import RPC
import ServiceLifecycle
import ServingProtos
import ServingTypes
import Tokenization

/// One worker: an engine and the gRPC services of its role, its lease in the directory, its metrics.
///
/// `run()` serves until the task is cancelled, which ends everything at once, or a graceful shutdown drains: health is
/// withdrawn, the lease says so, new requests are refused, running streams may finish within `drainTimeout` or are given up
/// in time for the router to move them, and blocks are lent to the end.
public final class WorkerServer: Service {
  public let engine: EngineCore
  public let configuration: WorkerConfiguration
  public let transfers = TransferStatistics()
  private let state: WorkerState
  private let health = HealthService()
  /// The services whose health is reported, by full name.
  private let services: [String]
  private let server: GRPCServer<LibGRPCServerTransport>
  private let announcer: DirectoryAnnouncer?
  private let fetcher: BlockFetcher
  private let drain = Signal()
  private let metrics: MetricsRegistry
  private let channels: ChannelPool
  /// Why the worker is not ready.
  private let unreadiness: Lock<String?>
  private let logger: Logger

  /// Binds the address; connections wait until `run()`.
  ///
  /// - Parameters:
  ///   - engine: started by `run()` and stopped when it ends.
  ///   - directory: where the worker announces itself; nil where nobody looks for it.
  ///   - channels: to the other workers.
  /// - Throws: `unavailable` when the address cannot be bound, `invalidArgument` for TLS material of no use.
  public init(
    engine: EngineCore, tokenizer: any Tokenizer, configuration: WorkerConfiguration,
    directory: (any BlockDirectory)? = nil, channels: ChannelPool, metrics: MetricsRegistry, logger: Logger
  ) throws(ServingError) {
    self.engine = engine
    self.configuration = configuration
    self.logger = logger
    self.metrics = metrics
    self.channels = channels
    unreadiness = Lock(configuration.selfTest == nil ? nil : "no self-test has passed yet")
    let state = WorkerState(
      id: configuration.id, incarnation: configuration.incarnation, role: configuration.role,
      model: configuration.model)
    self.state = state
    state.setReady(configuration.selfTest == nil)
    var settings = configuration.server
    // When the transport ends, the calls that matter have.
    settings.gracePeriod = configuration.moveNotice
    let largest = engine.layout.blockBytes() + (64 << 10)
    settings.limits.maxSendMessageBytes = max(settings.limits.maxSendMessageBytes, largest)
    do {
      let transport = try LibGRPCServerTransport(address: configuration.listen, configuration: settings)
      state.listen(at: configuration.advertise ?? transport.address)
      var services: [any RegistrableRPCService] = [health, WorkerService(engine: engine, worker: state)]
      var names = [Baton_V1_Worker.descriptor.fullyQualifiedService, "grpc.health.v1.Health"]
      services.append(
        BlocksService(
          engine: engine, worker: state, statistics: transfers, stallTimeout: configuration.sendStallTimeout))
      names.append(Baton_V1_Blocks.descriptor.fullyQualifiedService)
      if configuration.role.servesPrefill {
        services.append(
          PrefillService(
            engine: engine, worker: state, statistics: transfers, stallTimeout: configuration.sendStallTimeout,
            logger: logger))
        names.append(Baton_V1_Prefill.descriptor.fullyQualifiedService)
      }
      if configuration.role.servesDecode {
        services.append(
          DecodeService(
            engine: engine, tokenizer: tokenizer, worker: state, channels: channels,
            configuration: configuration.decode, statistics: transfers, metrics: DecodeMetrics(metrics), logger: logger)
        )
        names.append(Baton_V1_Decode.descriptor.fullyQualifiedService)
      }
      services.append(try ReflectionService(services: names))
      var interceptors: [any ServerInterceptor] = [TraceInterceptor()]
      if let token = configuration.authToken { interceptors.append(try AuthenticationInterceptor(token: token)) }
      self.services = names
      server = GRPCServer(transport: transport, services: services, interceptors: interceptors)
    } catch {
      throw ServingError(any: error)
    }
    fetcher = BlockFetcher(
      engine: engine, channels: channels, creditWindow: configuration.decode.creditWindow, logger: logger)
    announcer = directory.map { directory in
      DirectoryAnnouncer(
        directory: directory, configuration: configuration.announcer,
        record: { Self.record(engine, state) }, changes: { await engine.cacheChanges() })
    }
    WorkerMetrics.register(in: metrics, engine: engine, transfers: transfers)
  }

  /// The address bound, with the real port where 0 was asked for.
  public var boundAddress: String { server.transport.address }

  /// This life of this worker, at the address where others reach it.
  public var reference: WorkerReference { state.reference }

  /// Whether new requests are welcome.
  public var isReady: Bool { health.status(of: "") == .serving }

  /// Why new requests are not welcome; nil while they are.
  public var unreadyReason: String? {
    if isReady { return nil }
    return drain.isGiven ? "draining" : unreadiness.withLock { $0 } ?? "starting"
  }

  /// Whether the engine's thread still turns. A step that is known to be long may take its time.
  public var isLive: Bool {
    let statistics = engine.statistics
    let allowance = max(configuration.livenessTimeout, .seconds(4 * statistics.expectedStepSeconds))
    return statistics.failure == nil && ContinuousClock.now - statistics.heartbeat < allowance
  }

  /// Withdraws health, marks the lease, and lets what runs finish within `drainTimeout`; `run()` then returns.
  public func beginDraining() {
    state.beginDraining()
    health.shutDown()
    announcer?.renewSoon()
    drain.give()
  }

  public func run() async throws {
    engine.start()
    health.set(.serving, for: HealthService.liveness)
    if configuration.selfTest == nil { setReady(nil) }
    logger.info(
      "worker serves",
      metadata: [
        "worker": "\(configuration.id)", "role": "\(configuration.role.rawValue)", "address": "\(boundAddress)",
        "incarnation": "\(configuration.incarnation)", "layout_digest": "\(engine.layout.digest)",
      ])
    defer { health.shutDown() }
    let result: Result<Void, any Error>
    do {
      try await withGracefulShutdownHandler {
        try await serve()
      } onGracefulShutdown: {
        self.beginDraining()
      }
      result = .success(())
    } catch {
      result = .failure(error)
    }
    await engine.stop()
    logger.info("worker stopped", metadata: ["worker": "\(configuration.id)"])
    try result.get()
  }

  private func serve() async throws {
    try await withThrowingTaskGroup(of: Void.self) { group in
      group.addTask { [self] in
        await drain.wait()
        try await leave()
        server.beginGracefulShutdown()
      }
      // To the end: the lease says that the worker drains, and blocks are found until then.
      if let announcer { group.addTask { await announcer.run() } }
      group.addTask { [self] in await fetcher.run() }
      group.addTask { [self] in try await watchEngine() }
      if let selfTest = configuration.selfTest {
        let watch = ReadinessWatch(
          configuration: selfTest,
          test: SelfTest(engine: engine, worker: state, channels: channels, address: try ownAddress()),
          engine: engine, metrics: metrics, logger: logger, onChange: { self.setReady($0) })
        group.addTask { [self] in try await watch.run { drain.isGiven } }
      }
      group.addTask { [self] in
        try await server.serve()
        throw Ended()
      }
      defer { group.cancelAll() }
      do {
        while try await group.next() != nil {}
      } catch is Ended {}
    }
  }

  /// Says in the health service and in the lease whether requests are welcome.
  private func setReady(_ reason: String?) {
    unreadiness.withLock { $0 = reason }
    state.setReady(reason == nil)
    // A shutdown's last word stands.
    for service in [""] + services { health.set(reason == nil ? .serving : .notServing, for: service) }
    announcer?.renewSoon()
  }

  /// Where this worker reaches itself: over the loopback where the address bound is any, and under its advertised name where
  /// certificates want one.
  private func ownAddress() throws(ServingError) -> ServerAddress {
    if case .tls = configuration.server.security { return try ServerAddress(state.reference.address) }
    let bound = boundAddress
    guard !bound.hasPrefix("unix:") else { return try ServerAddress(bound) }
    let address = try ServerAddress(bound)
    let isAny = bound.hasPrefix("0.0.0.0:") || bound.hasPrefix("[::]:")
    return isAny ? ServerAddress(host: bound.hasPrefix("[") ? "::1" : "127.0.0.1", port: address.port ?? 0) : address
  }

  /// Lets what runs come to its end; what would not in time is given up so early that it goes on elsewhere before this worker
  /// is gone, and may fetch blocks from it.
  private func leave() async throws {
    let start = ContinuousClock.now
    try await Task.sleep(for: configuration.drainNotice)
    let end = start + configuration.drainTimeout
    await state.calls.waitUntilIdle(until: end - configuration.moveNotice)
    let moved = state.calls.leave()
    guard moved > 0 else { return }
    logger.notice("gave requests up", metadata: ["worker": "\(configuration.id)", "requests": "\(moved)"])
    try await Task.sleep(until: end)
  }

  /// The server has shut down in order.
  private struct Ended: Error {}

  /// An engine that found its books wrong has stopped for good, and so must the worker.
  private func watchEngine() async throws {
    while true {
      try await Task.sleep(for: .seconds(1))
      health.set(isLive ? .serving : .notServing, for: HealthService.liveness)
      if let failure = engine.statistics.failure { throw ServingError(.internalError, failure) }
    }
  }

  private static func record(_ engine: EngineCore, _ state: WorkerState) -> WorkerRecord {
    let statistics = engine.statistics
    return WorkerRecord(
      reference: state.reference, role: state.role, model: state.model, layoutDigest: engine.layout.digest,
      blockSize: engine.layout.blockSize, blockCount: engine.blockCount,
      maximumModelLength: engine.maximumContextLength,
      load: WorkerLoad(
        pendingPrefillTokens: statistics.pendingPrefillTokens, runningSequences: statistics.runningSequences,
        waitingSequences: statistics.waitingSequences, activeBlocks: statistics.activeBlocks),
      // A worker that does not work is not to be sent anything either.
      isDraining: !state.isReady)
  }
}
