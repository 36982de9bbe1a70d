import ArgumentParser

/// What only workers take.
struct WorkerOptions: ParsableArguments {
  @Option(
    name: .customLong("worker-id"), help: ArgumentHelp("A stable name, for example the pod's.", valueName: "name"))
  var workerID: String?
  @Option(help: ArgumentHelp("The address that others reach this worker at (default: --listen).", valueName: "address"))
  var advertise: String?
  @Option(
    help: ArgumentHelp("Between two tests of an idle worker by itself (60s); 0s: none.", valueName: "time"))
  var selfTestInterval: String?
  @Option(help: ArgumentHelp("How long such a test may take (20s).", valueName: "time"))
  var selfTestTimeout: String?
}
