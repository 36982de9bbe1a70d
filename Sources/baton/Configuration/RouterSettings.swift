import Routing
import ServingTypes

/// Everything that a router's process reads.
struct RouterSettings: Sendable {
  var model: ModelSettings
  var server: ServerSettings
  /// gRPC addresses of workers that are asked directly, without a directory.
  var workers: [String]
  var policy: RoutingPolicy
  var fetchHolders: Int
  var fetchBlockCost: Double
  var localPrefillTokens: Int
  var numSchedulerThreads: Int
  var apiKey: String?
  var streamStallTimeout: Duration
  var maxMigrations: Int
  var requestTimeout: Duration
  var maxBodyBytesInFlight: Int

  init(
    model: ModelOptions, simulation: SimulationOptions? = nil, server: ServerOptions, router: RouterOptions,
    _ reader: inout ParameterReader
  ) {
    self.model = ModelSettings(model, simulation: simulation, &reader)
    self.server = ServerSettings(server, listen: "127.0.0.1:7070", httpListen: "127.0.0.1:8080", &reader)
    workers = reader.list("workers", flag: router.workers)
    policy = reader.choice("routing_policy", flag: router.routingPolicy, default: .prefix)
    let defaults = RoutingConfiguration()
    fetchHolders = reader.integer(
      "fetch_holders", flag: router.fetchHolders, default: defaults.maximumHolders, in: 0...16)
    fetchBlockCost = reader.number(
      "fetch_block_cost", flag: router.fetchBlockCost, default: defaults.fetchBlockCost, in: 0...1)
    localPrefillTokens = reader.integer(
      "local_prefill_tokens", flag: router.localPrefillTokens, default: RoutingConfiguration().localPrefillTokens,
      in: 0...1_000_000)
    numSchedulerThreads = reader.integer(
      "num_scheduler_threads", flag: router.numSchedulerThreads,
      default: defaults.numSchedulerThreads, in: 1...256)
    streamStallTimeout = reader.duration(
      "stream_stall_timeout", flag: router.streamStallTimeout, default: defaults.streamStallTimeout)
    maxMigrations = reader.integer(
      "max_migrations", flag: router.maxMigrations, default: defaults.maximumMigrations, in: 0...64)
    requestTimeout = reader.positiveDuration(
      "request_timeout", flag: router.requestTimeout, default: .seconds(600))
    maxBodyBytesInFlight =
      reader.optionalByteCount("max_body_bytes_in_flight", flag: router.maxBodyBytesInFlight)
      ?? defaults.maximumBodyBytesInFlight
    reader.noteDefault("64MiB")
    apiKey = reader.string("api_key", flag: router.apiKey, secret: true)
  }
}
