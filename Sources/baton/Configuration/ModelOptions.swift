import ArgumentParser

/// The model that a process serves.
struct ModelOptions: ParsableArguments {
  @Option(help: ArgumentHelp("The GGUF file.", valueName: "file"))
  var model: String?
  @Option(help: ArgumentHelp("The model's name in the API (default: the file's).", valueName: "name"))
  var servedModelName: String?
}

/// What a process of a cluster serves instead of a model's file.
struct SimulationOptions: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "Instead of --model: digests for tokens, in the time that a model of this name (8b, free) or JSON file would take.",
      valueName: "name"))
  var simulate: String?
}
