import ArgumentParser
import Foundation
import Logging
import Routing
import ServingTypes

/// `baton generate`.
struct Generate: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Answers one prompt, by a model here or by a running router.",
    discussion: """
      The text appears as it is generated. With --json one JSON object is printed instead: prompt_token_ids, token_ids, \
      text, finish_reason, logprobs, top_logprobs (per token a list of [id, logprob]), timing (seconds), cached_tokens, \
      route.

      EXAMPLES
        baton generate --model model.gguf --prompt "Name three rivers." --explain
        baton generate --router 127.0.0.1:7070 --prompt-file prompt.txt --max-tokens 64
        baton generate --model model.gguf --token-ids 1,2,3 --max-tokens 8 --logprobs 10 --json
      """)

  @OptionGroup var common: CommonOptions
  @OptionGroup(title: "Model") var model: ModelOptions
  @Option(help: ArgumentHelp("The gRPC address of a running router, instead of --model.", valueName: "address"))
  var router: String?
  @OptionGroup(title: "Generation") var generation: GenerationOptions
  @Flag(help: "Print one JSON object.")
  var json = false
  @Flag(help: "Show where it ran and how long each part took, after the text, on standard error.")
  var explain = false
  @Option(help: ArgumentHelp("Also write the JSON object to a file.", valueName: "file"))
  var output: String?
  @Option(help: ArgumentHelp("Token to present to the router.", valueName: "token"))
  var authToken: String?
  @OptionGroup(title: "Engine and memory") var engine: EngineOptions

  func validate() throws {
    if router != nil && model.model != nil { throw ValidationError("give --model or --router, not both") }
  }

  func run() async throws {
    let request = try generation.request()
    var transcript = GenerationTranscript()
    if let router {
      LoggingSystem.bootstrap { label in JSONLogHandler(label: label, logLevel: .warning) }
      let token = authToken ?? ProcessInfo.processInfo.environment["BATON_AUTH_TOKEN"]
      try await RemoteRouter(address: router, authToken: token).generate(request, into: &transcript, show: show)
    } else {
      let launched = try Launch.settings(common, logLevel: .warning) { reader in
        (ModelSettings(model, &reader), EngineSettings(engine, &reader))
      }
      guard let (settings, _) = launched else { return }
      let process = EmbeddedProcess(model: settings.0, engine: settings.1, logger: Logger(label: "baton.generate"))
      try await process.generate(request, into: &transcript, show: show)
    }
    try finish(transcript)
  }

  private func show(_ text: String) {
    // A reader that left, as `head` does, is no reason to crash.
    if !json && !text.isEmpty { try? FileHandle.standardOutput.write(contentsOf: Data(text.utf8)) }
  }

  private func finish(_ transcript: GenerationTranscript) throws {
    if json {
      print(try transcript.json())
    } else if !transcript.text.hasSuffix("\n") {
      print()
    }
    if explain { try? FileHandle.standardError.write(contentsOf: Data(transcript.explanation.utf8)) }
    if let output {
      do {
        try Data((try transcript.json() + "\n").utf8).write(to: URL(filePath: output))
      } catch {
        throw ServingError(.internalError, "can't write \(output): \(error.localizedDescription)")
      }
    }
  }
}
