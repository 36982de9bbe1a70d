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
  @Option(
    help: ArgumentHelp("Tokens that a decode worker computes itself, where it has most of a prompt.", valueName: "n"))
  var localPrefillTokens: String?
  @Option(help: ArgumentHelp("Threads that tokenise and hash prompts (2).", valueName: "n"))
  var numSchedulerThreads: String?
  @Option(help: ArgumentHelp("A decode worker silent for so long is asked whether it lives (3s).", valueName: "time"))
  var streamStallTimeout: String?
  @Option(
    help: ArgumentHelp("Times that a request moves without a new token in between (3).", valueName: "n"))
  var maxMigrations: String?
  @Option(help: ArgumentHelp("What a request may take in all, whatever deadline it brings (10m).", valueName: "time"))
  var requestTimeout: String?
  @Option(help: ArgumentHelp("Bodies of requests under way, in all (64MiB).", valueName: "size"))
  var maxBodyBytesInFlight: String?
  @Option(help: ArgumentHelp("Key that HTTP callers must present.", valueName: "key"))
  var apiKey: String?
}
