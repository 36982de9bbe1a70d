import ArgumentParser
import Foundation
import LoadHarness
import Routing
import ServingTypes

/// `baton bench cluster`.
struct BenchCluster: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "cluster",
    abstract: "Routing policies with many simulated workers on this machine.",
    discussion: """
      For each row a Redis, a router and workers start as processes of their own; all of them serve as they would with a \
      model, but wait where they would compute. The same trace is put to each. docs/benchmarks.md says what counts.

      EXAMPLES
        baton bench cluster
        baton bench cluster --policy prefix,least_loaded,round_robin,random --svg policies.svg
        baton bench cluster --policy prefix --workers 4:12,8:8,12:4 --trace mixed --rate 20
      """)

  @Option(help: ArgumentHelp("prefix, least_loaded, round_robin, random (prefix,round_robin).", valueName: "policy,…"))
  var policy: CommaList<RoutingPolicy>?
  @Option(help: ArgumentHelp("Prefill and decode workers (8:8).", valueName: "P:D,…"))
  var workers: CommaList<WorkerCounts>?
  @Option(help: ArgumentHelp("chats, documents, mixed, or a JSON file of a recipe (chats).", valueName: "name"))
  var trace: String?
  @Option(help: ArgumentHelp("Requests a second (the trace's).", valueName: "n"))
  var rate: Double?
  @Option(help: ArgumentHelp("How long requests arrive, warm-up included (the trace's).", valueName: "s"))
  var seconds: Double?
  @Option(help: ArgumentHelp("How long of it does not count (the trace's).", valueName: "s"))
  var warmUp: Double?
  @Option(help: ArgumentHelp("Seed of the trace (the trace's).", valueName: "n"))
  var seed: UInt64?
  @Option(help: ArgumentHelp("The simulated model: 8b, free, or a JSON file.", valueName: "name"))
  var simulate = "8b"
  @Option(help: ArgumentHelp("The router's parameter: what fits a step of the simulated model (512).", valueName: "n"))
  var localPrefillTokens = 512
  @Option(help: ArgumentHelp("A good request's first token comes within this time (500).", valueName: "ms"))
  var sloTtft = 500.0
  @Option(
    help: ArgumentHelp("A good request's other tokens come in this time each, in the mean (25).", valueName: "ms"))
  var sloItl = 25.0
  @Option(help: ArgumentHelp("Write rows and bars as JSON; - is standard output.", valueName: "file"))
  var json: String?
  @Option(help: ArgumentHelp("Draw the rows.", valueName: "file"))
  var svg: String?
  @Flag(help: "Keep the processes' logs.")
  var keepLogs = false

  func validate() throws {
    let numbers = [("--rate", rate), ("--seconds", seconds), ("--slo-ttft", sloTtft), ("--slo-itl", sloItl)]
    if !(0...1_000_000).contains(localPrefillTokens) {
      throw ValidationError("--local-prefill-tokens must be 0 to 1000000")
    }
    if let warmUp, !(0...1_000_000).contains(warmUp) { throw ValidationError("--warm-up must be 0 to 1000000") }
    for (name, value) in numbers {
      if let value, !(0.001...1_000_000).contains(value) { throw ValidationError("\(name) must be 0.001 to 1000000") }
    }
  }

  func run() async throws {
    var recipe = try Self.recipe(trace ?? "chats")
    recipe.requestsPerSecond = rate ?? recipe.requestsPerSecond
    recipe.seconds = seconds ?? recipe.seconds
    recipe.warmUpSeconds = min(warmUp ?? recipe.warmUpSeconds, recipe.seconds)
    recipe.seed = seed ?? recipe.seed
    guard recipe.requestsPerSecond * recipe.seconds <= 1_000_000 else {
      throw ServingError(.invalidArgument, "--rate times --seconds is more than a million requests")
    }
    let isQuiet = json == "-"
    var benchmark = ClusterBenchmark(
      binary: try Self.ownBinary(), model: simulate, trace: Trace(recipe), warmUp: recipe.warmUpSeconds,
      traceName: recipe.name,
      policies: policy?.values ?? [.prefix, .roundRobin],
      workers: workers?.values ?? [WorkerCounts(prefill: 8, decode: 8)],
      goal: .init(firstToken: sloTtft / 1000, gap: sloItl / 1000), localPrefillTokens: localPrefillTokens,
      keepsLogs: keepLogs)
    if !isQuiet {
      print(
        "\(benchmark.trace.requests.count) requests in \(FigureText.of(recipe.seconds)) s, of which"
          + " \(FigureText.of(recipe.warmUpSeconds)) s do not count; simulated model \(simulate)")
      benchmark.show = { row in
        print(
          "\(row.policy) \(row.workers): router \(FigureText.of(row.routerMicrosecondsPerToken)) µs a token,"
            + " decision \(FigureText.of(row.decisionMicroseconds)) µs (p99 \(FigureText.of(row.decisionP99Microseconds))),"
            + " worker \(FigureText.of(row.workerMegabytes)) MB, \(FigureText.of(row.processors)) processors busy")
        let parts = row.parts.sorted { $0.key < $1.key }.map { "\($0.key) \(FigureText.of($0.value))" }
        print("  ms to the first token, medians: \(parts.joined(separator: ", "))")
        for failure in row.figures.failures { print("  failed: \(failure)") }
      }
    }
    let rows = try await untilInterrupted { [benchmark] in try await benchmark.run() }
    let bars = benchmark.bars(rows)
    if !isQuiet {
      print(benchmark.table(rows).text)
      for bar in bars { print(bar.line) }
    }
    if let json { try BenchReport(model: simulate, bars: bars, results: rows).write(to: json) }
    if let svg { try BenchFile.write(benchmark.chart(rows).svg, to: svg) }
  }

  /// The program that runs now, for the processes of the cluster.
  static func ownBinary() throws(ServingError) -> String {
    do {
      return try FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")
    } catch {
      throw ServingError(.internalError, "can't find this program's own file: \(error.localizedDescription)")
    }
  }

  private static func recipe(_ text: String) throws(ServingError) -> ClusterRecipe {
    if let known = ClusterRecipe.named.first(where: { $0.name == text }) { return known }
    guard let data = FileManager.default.contents(atPath: text) else {
      let names = ClusterRecipe.named.map(\.name).joined(separator: ", ")
      throw ServingError(.notFound, "there is no trace '\(text)': \(names) or a file is wanted")
    }
    do {
      return try JSONDecoder().decode(ClusterRecipe.self, from: data)
    } catch {
      throw ServingError(.invalidArgument, "\(text) is no recipe of a trace: \(error)")
    }
  }
}

extension RoutingPolicy: ExpressibleByArgument {}
