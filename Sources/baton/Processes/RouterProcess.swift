import Logging
import ModelRuntime
import ModelSimulation
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
    let model = try servedModel()
    let assembly = try RouterAssembly(
      settings: settings, model: model, directory: directory, registry: MetricsRegistry(), logger: logger)
    try await ProcessLifecycle.run(
      assembly.services(logger: logger), drainTimeout: settings.server.drainTimeout, logger: logger)
  }

  private func servedModel() throws(ServingError) -> ServedModel {
    if let simulated = settings.model.simulated {
      return ServedModel(
        name: settings.model.servedName, tokenizer: SimulatedTokenizer(), chatTemplate: nil,
        contextLength: simulated.contextLength)
    }
    let file = try GGUFFile(path: settings.model.path)
    return ServedModel(
      settings.model, file: file, tokenizer: try file.makeTokenizer(),
      contextLength: try ModelConfiguration(file).contextLength, logger: logger)
  }
}
