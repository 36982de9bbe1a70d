import ArgumentParser
import Logging
import ServingTypes

/// `baton prefill`.
struct Prefill: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Computes prompts and hands their blocks to decode workers.",
    discussion: """
      EXAMPLE
        baton prefill --model model.gguf --redis redis://127.0.0.1:6379 --listen 127.0.0.1:7171
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
        role: .prefill, model: model, simulation: simulation, engine: engine, server: server, worker: worker, &reader)
    }
    guard let (settings, reader) = launched else { return }
    let logger = Logger(label: "baton.prefill")
    Launch.log(reader, role: "prefill", to: logger)
    try await WorkerProcess(settings: settings, logger: logger).run()
  }
}
