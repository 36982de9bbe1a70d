import ArgumentParser

/// The model that a process serves.
struct ModelOptions: ParsableArguments {
  @Option(help: ArgumentHelp("The GGUF file.", valueName: "file"))
  var model: String?
  @Option(help: ArgumentHelp("The model's name in the API (default: the file's).", valueName: "name"))
  var servedModelName: String?
}
