import Logging
import ModelRuntime
import Observability
import Routing
import ServingTypes

/// `baton router`: reads a model's vocabulary and routes to the workers of the directory.
struct RouterProcess {
  let settings: RouterSettings
  let logger: Logger

  func run() async throws {
    let directory = try settings.server.directory(logger: logger)
    defer { directory?.close() }
    if directory == nil && settings.workers.isEmpty {
      throw ServingError(.invalidArgument, "a router finds its workers by --redis or by --workers; give one of them")
    }
    let file = try GGUFFile(path: settings.model.path)
    let model = ServedModel(
      settings.model, file: file, tokenizer: try file.makeTokenizer(),
      contextLength: try ModelConfiguration(file).contextLength, logger: logger)
    let assembly = try RouterAssembly(
      settings: settings, model: model, directory: directory, registry: MetricsRegistry(), logger: logger)
    try await ProcessLifecycle.run(
      assembly.services(logger: logger), drainTimeout: settings.server.drainTimeout, logger: logger)
  }
}
