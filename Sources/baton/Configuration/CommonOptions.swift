import ArgumentParser

/// What every role takes. The reader checks values, so flags are texts here.
struct CommonOptions: ParsableArguments {
  @Option(help: ArgumentHelp("Read parameters from a YAML file; flags and BATON_… variables win.", valueName: "file"))
  var config: String?

  @Flag(help: "Print the effective configuration as YAML and stop.")
  var printConfig = false

  @Option(help: ArgumentHelp("trace, debug, info, notice, warning, error or critical.", valueName: "level"))
  var logLevel: String?
}
