import ArgumentParser
import ClusterHarness
import Foundation
import ServingTypes

/// `baton bench chaos`.
struct BenchChaos: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "chaos",
    abstract: "What clients see while processes die, freeze and lose their connections.",
    discussion: """
      Starts routers, prefill and decode workers with the model and with a simulated one, asks for right answers, and then goes
      on asking while processes are killed, stopped and terminated, Redis is killed and flushed, and connections are cut, reset,
      slowed down and stalled. Ends with 1 when a bar is missed.

      EXAMPLES
        baton bench chaos --model model.gguf
        baton bench chaos --model model.gguf --duration 60 --seed 7 --json chaos.json
      """)

  @OptionGroup var common: CommonOptions
  @OptionGroup(title: "Model") var model: ModelOptions
  @Option(help: ArgumentHelp("Seconds that faults go on.", valueName: "seconds"))
  var duration = 600.0
  @Option(help: ArgumentHelp("Of the schedule of faults, and of the load.", valueName: "n"))
  var seed: UInt64 = 1
  @Option(help: ArgumentHelp("Write what came of it as JSON; - is standard output.", valueName: "file"))
  var json: String?

  func validate() throws {
    if !(1...86_400).contains(duration) { throw ValidationError("--duration must be 1 to 86400 seconds") }
  }

  func run() async throws {
    let launched = try Launch.settings(common, logLevel: .warning) { reader in
      ModelSettings(model, &reader)
    }
    guard let (settings, _) = launched else { return }
    guard let binary = Bundle.main.executablePath else {
      throw ServingError(.internalError, "this program does not know where it lies")
    }
    var faults = ChaosConfiguration(seed: seed)
    faults.duration = duration
    let start = ContinuousClock.now
    let report = try await ChaosRun(
      .init(binary: binary, model: settings.path, faults: faults) { line in
        let seconds = Int((ContinuousClock.now - start) / .seconds(1))
        FileHandle.standardError.write(Data("\(seconds) s: \(line)\n".utf8))
      }
    ).run()
    if json != "-" { for line in report.lines { print(line) } }
    if let json { try BenchReport(model: settings.servedName, bars: report.bars, results: report).write(to: json) }
    if report.bars.contains(where: { !$0.met }) { throw ExitCode(1) }
  }
}
