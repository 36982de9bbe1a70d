import ServingTypes

/// Everything that the embedded process reads: router and worker in one, with the directory in memory.
struct ServeSettings: Sendable {
  var router: RouterSettings
  var engine: EngineSettings

  init(
    model: ModelOptions, engine: EngineOptions, server: ServerOptions, router: RouterOptions,
    _ reader: inout ParameterReader
  ) {
    self.router = RouterSettings(model: model, server: server, router: router, &reader)
    self.engine = EngineSettings(engine, &reader)
    if self.router.server.redis != nil || !self.router.workers.isEmpty {
      reader.note(problem: "serve does everything in one process: redis and workers are for router, prefill and decode")
    }
  }
}
