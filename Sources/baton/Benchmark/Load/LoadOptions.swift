import ArgumentParser
import LoadHarness

/// The load that a comparison puts to engines, and where its results go.
struct LoadOptions: ParsableArguments {
  @Option(help: ArgumentHelp("Requests of the trace.", valueName: "n"))
  var requests = 96
  @Option(help: ArgumentHelp("Seed of the trace.", valueName: "n"))
  var seed: UInt64 = 1
  @Option(help: ArgumentHelp("Median of the prompts' lengths (0.045 of the context).", valueName: "tokens"))
  var promptLength: Int?
  @Option(help: ArgumentHelp("Median of the outputs' lengths (0.121 of the context).", valueName: "tokens"))
  var outputLength: Int?
  @Option(help: ArgumentHelp("Clients that each send the next request when the last has ended.", valueName: "n"))
  var clients: Int?
  @Option(help: ArgumentHelp("Requests a second, at random times of a Poisson process.", valueName: "n"))
  var rate: Double?
  @Option(help: ArgumentHelp("Tenants: half of the requests come from the first.", valueName: "n"))
  var tenants = 1
  @Option(help: ArgumentHelp("Runs of each row, in turn; the median counts.", valueName: "n"))
  var runs = 1
  @Option(help: ArgumentHelp("Write figures and bars as JSON; - is standard output.", valueName: "file"))
  var json: String?
  @Option(help: ArgumentHelp("Write a picture; - is standard output.", valueName: "file"))
  var svg: String?

  func validate() throws {
    if requests < 1 || requests > 100_000 { throw ValidationError("--requests must be 1 to 100000") }
    if runs < 1 || runs > 100 { throw ValidationError("--runs must be 1 to 100") }
    for (name, length) in [("prompt", promptLength), ("output", outputLength)] {
      if let length, length < 1 || length > 1_000_000 {
        throw ValidationError("--\(name)-length must be 1 to 1000000")
      }
    }
    if tenants < 1 || tenants > 1000 { throw ValidationError("--tenants must be 1 to 1000") }
    if let clients, clients < 1 || clients > 10_000 { throw ValidationError("--clients must be 1 to 10000") }
    // Arrivals have to be times that a clock can hold.
    if let rate, !(rate >= 0.001 && rate <= 10_000) { throw ValidationError("--rate must be 0.001 to 10000") }
    if clients != nil && rate != nil { throw ValidationError("--clients and --rate exclude each other") }
    if json == "-" && svg == "-" { throw ValidationError("--json and --svg cannot both be standard output") }
  }

  /// - Parameter whole: without `--clients` and `--rate`.
  func mode(whole: LoadDriver.Mode) -> LoadDriver.Mode {
    if let clients { return .closedLoop(clients: clients) }
    return rate == nil ? whole : .atArrivals
  }

  func recipe(contextLength: Int) -> TraceRecipe {
    var recipe = TraceRecipe.chat(seed: seed, count: requests, contextLength: contextLength)
    recipe.requestsPerSecond = rate
    recipe.tenants = tenants
    if let promptLength { recipe.prompt.median = Double(promptLength) }
    if let outputLength { recipe.output.median = Double(outputLength) }
    return recipe
  }

  /// The table goes where no other output is in its way.
  var printsTable: Bool { json != "-" && svg != "-" }
}
