import ArgumentParser
import Foundation
import ModelRuntime
import ServingTypes

/// `baton model`.
struct Model: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "model", abstract: "Looks at model files.", subcommands: [Inspect.self])

  struct Inspect: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Shows what a GGUF file holds, without loading its weights.",
      discussion: "EXAMPLE\n  baton model inspect model.gguf --json")

    @Argument(help: "The GGUF file.")
    var file: String
    @Flag(help: "Print one JSON object.")
    var json = false
    @Flag(help: "List the tensors too.")
    var tensors = false

    func run() throws {
      let report = try ModelReport(GGUFFile(path: file), withTensors: tensors)
      print(json ? try report.json() : report.text, terminator: json ? "\n" : "")
    }
  }
}
