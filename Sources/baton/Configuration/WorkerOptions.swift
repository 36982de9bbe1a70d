import ArgumentParser

/// What only workers take.
struct WorkerOptions: ParsableArguments {
  @Option(
    name: .customLong("worker-id"), help: ArgumentHelp("A stable name, for example the pod's.", valueName: "name"))
  var workerID: String?
  @Option(help: ArgumentHelp("The address that others reach this worker at (default: --listen).", valueName: "address"))
  var advertise: String?
}
