import ArgumentParser
import Logging
import ServingTypes

/// `baton router`.
struct Router: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Sends each request to the workers that hold its prefix; OpenAI's HTTP API and gRPC.",
    discussion: """
      Of the model it reads the vocabulary and the chat template alone.

      EXAMPLE
        baton router --model model.gguf --redis redis://127.0.0.1:6379 --http-listen 127.0.0.1:8080
      """)

  @OptionGroup var common: CommonOptions
  @OptionGroup(title: "Model") var model: ModelOptions
  @OptionGroup(title: "Simulation") var simulation: SimulationOptions
  @OptionGroup(title: "Server") var server: ServerOptions
  @OptionGroup(title: "Routing") var router: RouterOptions

  func run() async throws {
    let launched = try Launch.settings(common) { reader in
      RouterSettings(model: model, simulation: simulation, server: server, router: router, &reader)
    }
    guard let (settings, reader) = launched else { return }
    let logger = Logger(label: "baton.router")
    Launch.log(reader, role: "router", to: logger)
    try await RouterProcess(settings: settings, logger: logger).run()
  }
}
