import ArgumentParser
import Logging
import ServingTypes

/// `baton decode`.
struct Decode: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Takes the blocks of prompts over and generates tokens.",
    discussion: """
      EXAMPLE
        baton decode --model model.gguf --redis redis://127.0.0.1:6379 --listen 127.0.0.1:7272
      """)

  @OptionGroup var common: CommonOptions
  @OptionGroup(title: "Model") var model: ModelOptions
  @OptionGroup(title: "Simulation") var simulation: SimulationOptions
  @OptionGroup(title: "Server") var server: ServerOptions
  @OptionGroup(title: "Worker") var worker: WorkerOptions
  @OptionGroup(title: "Engine and memory") var engine: EngineOptions

  func run() async throws {
    let launched = try Launch.settings(common) { reader in
      WorkerSettings(
        role: .decode, model: model, simulation: simulation, engine: engine, server: server, worker: worker, &reader)
    }
    guard let (settings, reader) = launched else { return }
    let logger = Logger(label: "baton.decode")
    Launch.log(reader, role: "decode", to: logger)
    try await WorkerProcess(settings: settings, logger: logger).run()
  }
}
