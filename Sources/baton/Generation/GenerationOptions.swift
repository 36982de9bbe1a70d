import ArgumentParser
import Foundation
import Routing
import ServingTypes
import Tokenization

/// What to generate from and how.
struct GenerationOptions: ParsableArguments {
  @Option(help: ArgumentHelp("The prompt.", valueName: "text"))
  var prompt: String?
  @Option(help: ArgumentHelp("A file that holds the prompt; - is standard input.", valueName: "file"))
  var promptFile: String?
  @Option(
    name: .customLong("token-ids"),
    help: ArgumentHelp("The prompt's tokens, with commas; implies --raw.", valueName: "ids"))
  var tokenIDs: String?
  @Flag(help: "Take the prompt as it is, without the chat template.")
  var raw = false
  @Option(help: ArgumentHelp("A system message before the prompt.", valueName: "text"))
  var system: String?
  @Option(parsing: .unconditional, help: ArgumentHelp("New tokens at most.", valueName: "n"))
  var maxTokens = 256
  @Option(parsing: .unconditional, help: ArgumentHelp("New tokens at least.", valueName: "n"))
  var minTokens = 0
  @Option(parsing: .unconditional, help: ArgumentHelp("0 takes the most likely token each time.", valueName: "t"))
  var temperature: Float = 0
  @Option(parsing: .unconditional, help: ArgumentHelp("Keep the k most likely tokens; 0 keeps all.", valueName: "k"))
  var topK = 0
  @Option(
    parsing: .unconditional, help: ArgumentHelp("Keep the most likely tokens up to this probability.", valueName: "p"))
  var topP: Float = 1
  @Option(
    parsing: .unconditional,
    help: ArgumentHelp("Drop tokens less likely than this share of the most likely.", valueName: "p"))
  var minP: Float = 0
  @Option(parsing: .unconditional, help: ArgumentHelp("1 is off.", valueName: "x"))
  var repetitionPenalty: Float = 1
  @Option(help: ArgumentHelp("Makes sampling repeatable.", valueName: "n"))
  var seed: UInt64?
  @Option(help: ArgumentHelp("End before this text; may be given again.", valueName: "text"))
  var stop: [String] = []
  @Flag(name: .customLong("ignore-eos"), help: "Go on after the model's own end.")
  var ignoreEOS = false
  @Option(
    parsing: .unconditional, help: ArgumentHelp("Report this many most likely tokens with each token.", valueName: "n"))
  var logprobs: Int?
  @Flag(name: .customLong("no-speculation"), help: "Decode one token at a time; the tokens are the same.")
  var withoutSpeculation = false

  func validate() throws {
    let given = [prompt != nil, promptFile != nil, tokenIDs != nil].filter { $0 }.count
    if given != 1 { throw ValidationError("give one of --prompt, --prompt-file and --token-ids") }
  }

  func request() throws(ServingError) -> GenerationRequest {
    GenerationRequest(
      prompt: try promptValue(),
      sampling: SamplingParameters(
        temperature: temperature, topK: topK, topP: topP, minP: minP, repetitionPenalty: repetitionPenalty, seed: seed,
        maxTokens: maxTokens, minTokens: minTokens, stop: stop, ignoreEOS: ignoreEOS, logprobs: logprobs,
        speculative: !withoutSpeculation),
      explain: true)
  }

  private func promptValue() throws(ServingError) -> GenerationRequest.Prompt {
    if let tokenIDs {
      var tokens: [TokenID] = []
      for item in tokenIDs.split(separator: ",", omittingEmptySubsequences: true) {
        guard let token = TokenID(item.filter { $0 != " " }) else {
          throw ServingError(.invalidArgument, "--token-ids holds '\(item)'; each item must be a token's number")
        }
        tokens.append(token)
      }
      return .tokens(tokens)
    }
    var text = prompt ?? ""
    if let promptFile { text = try Self.read(promptFile) }
    if raw { return .text(text) }
    let system = system.map { [ChatMessage(role: .system, content: $0)] } ?? []
    return .chat(system + [ChatMessage(role: .user, content: text)])
  }

  private static func read(_ path: String) throws(ServingError) -> String {
    let data: Data
    do {
      data = try path == "-" ? FileHandle.standardInput.readToEnd() ?? Data() : Data(contentsOf: URL(filePath: path))
    } catch {
      throw ServingError(.notFound, "can't read the prompt file \(path)")
    }
    guard let text = String(validating: data, as: UTF8.self) else {
      throw ServingError(.invalidArgument, "the prompt file \(path) is not valid UTF-8")
    }
    return text
  }
}
