import ArgumentParser

/// What only routers take.
struct RouterOptions: ParsableArguments {
  @Option(help: ArgumentHelp("Addresses of workers, with commas, to do without Redis.", valueName: "addresses"))
  var workers: String?
  @Option(help: ArgumentHelp("prefix, least_loaded, round_robin or random.", valueName: "policy"))
  var routingPolicy: String?
  @Option(
    help: ArgumentHelp("Holders of a prefix named with each request, to fetch it from (3; 0: none).", valueName: "n"))
  var fetchHolders: String?
  @Option(help: ArgumentHelp("What a block to fetch costs beside one to compute (0.5).", valueName: "share"))
  var fetchBlockCost: String?
  @Option(help: ArgumentHelp("Threads that tokenise and hash prompts (2).", valueName: "n"))
  var numSchedulerThreads: String?
  @Option(help: ArgumentHelp("Key that HTTP callers must present.", valueName: "key"))
  var apiKey: String?
}
