import ArgumentParser
import LoadHarness

/// `baton bench router`.
struct BenchRouter: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "router",
    abstract: "What a router adds to a request, and how many tokens it carries.",
    discussion: """
      Simulated decode workers and a router as processes of their own. docs/benchmarks.md says what counts.

      EXAMPLES
        baton bench router
        baton bench router --streams 64 --offered 8000 --seconds 3
      """)

  @Option(help: ArgumentHelp("Requests straight to a worker, and as many through the router.", valueName: "n"))
  var pairs = 2000
  @Option(help: ArgumentHelp("Streams at once.", valueName: "n"))
  var streams = 256
  @Option(help: ArgumentHelp("Decode workers that share them.", valueName: "n"))
  var workers = 4
  @Option(help: ArgumentHelp("How long the streams last.", valueName: "s"))
  var seconds = 8.0
  @Option(help: ArgumentHelp("Tokens a second that the workers offer together.", valueName: "n"))
  var offered = 28_000.0
  @Option(help: ArgumentHelp("Write rows and bars as JSON; - is standard output.", valueName: "file"))
  var json: String?

  func validate() throws {
    if !(1...100_000).contains(pairs) { throw ValidationError("--pairs must be 1 to 100000") }
    if !(1...1024).contains(streams) { throw ValidationError("--streams must be 1 to 1024") }
    if !(1...64).contains(workers) { throw ValidationError("--workers must be 1 to 64") }
    if !(0.1...600).contains(seconds) { throw ValidationError("--seconds must be 0.1 to 600") }
    if !(1...1_000_000).contains(offered) { throw ValidationError("--offered must be 1 to 1000000") }
    if seconds * offered / Double(streams) > 12_000 {
      throw ValidationError("each stream would have more than 12000 tokens: fewer --seconds, or more --streams")
    }
  }

  func run() async throws {
    let benchmark = RouterBenchmark(
      binary: try BenchCluster.ownBinary(), pairs: pairs, streams: streams, workers: workers, seconds: seconds,
      offered: offered)
    let isQuiet = json == "-"
    let result = try await untilInterrupted { try await benchmark.run { line in if !isQuiet { print(line) } } }
    let bars = benchmark.bars(result)
    if !isQuiet { for bar in bars { print(bar.line) } }
    if let json { try BenchReport(model: "simulated", bars: bars, results: result).write(to: json) }
  }
}
