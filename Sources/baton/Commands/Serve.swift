import ArgumentParser
import Logging
import ServingTypes

/// `baton serve`.
struct Serve: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Serves a model from one process: router, prefill and decode, the directory in memory.",
    discussion: """
      EXAMPLES
        baton serve --model model.gguf
        curl http://127.0.0.1:8080/v1/completions -d '{"prompt": "Once upon a time", "max_tokens": 32}'
      """)

  @OptionGroup var common: CommonOptions
  @OptionGroup(title: "Model") var model: ModelOptions
  @OptionGroup(title: "Server") var server: ServerOptions
  @OptionGroup(title: "Routing") var router: RouterOptions
  @OptionGroup(title: "Engine and memory") var engine: EngineOptions

  func run() async throws {
    let launched = try Launch.settings(common) { reader in
      ServeSettings(model: model, engine: engine, server: server, router: router, &reader)
    }
    guard let (settings, reader) = launched else { return }
    let logger = Logger(label: "baton.serve")
    Launch.log(reader, role: "serve", to: logger)
    try await EmbeddedProcess(settings: settings, logger: logger).run()
  }
}
