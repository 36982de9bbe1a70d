import ArgumentParser
import Foundation
import Observability
import ServingTypes

/// `baton doctor`.
struct Doctor: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Looks at live processes' metrics for known pitfalls, and says which parameter to change.",
    discussion: """
      Reads /metrics of each URL twice and judges what happened in between; with --interval 0 once, and then counters since \
      the start. Ask while the load is on.

      EXAMPLES
        baton doctor --url http://127.0.0.1:8081 --url http://127.0.0.1:8082 --url http://127.0.0.1:8080
        baton doctor --url http://127.0.0.1:8080 --interval 0 --json

      EXIT CODES
        0   nothing found
        1   something found
        2   a URL could not be read
      """)

  @Option(help: ArgumentHelp("HTTP address of a worker or router; may be repeated.", valueName: "url"))
  var url: [String] = []
  @Option(help: ArgumentHelp("Time between the two readings; 0 reads once.", valueName: "time"))
  var interval = "10s"
  @Flag(help: "Print one JSON object.")
  var json = false

  func validate() throws {
    if url.isEmpty { throw ValidationError("give at least one --url http://host:port") }
    if parseDuration(interval) == nil { throw ValidationError("--interval is '\(interval)'; 10s or 0 is wanted") }
  }

  func run() async throws {
    let sources = try url.map(MetricsSource.init)
    let wait = parseDuration(interval) ?? .zero
    var failures: [ServingError] = []
    var first: [MetricsSnapshot?] = []
    if wait > .zero {
      first = await Self.readings(of: sources, failures: &failures)
      // Nothing to compare with: the answer is known.
      if first.contains(where: { $0 != nil }) { try await Task.sleep(for: wait) }
    }
    var reports: [DiagnosisReport] = []
    for (index, source) in sources.enumerated() where wait == .zero || first[index] != nil {
      do {
        let window = MetricsWindow(from: wait == .zero ? nil : first[index], to: try await source.read())
        reports.append(DiagnosisReport(url: source.url, window: window))
      } catch {
        failures.append(ServingError(any: error))
      }
    }
    try show(reports)
    for failure in failures {
      try? FileHandle.standardError.write(contentsOf: Data("baton: error: \(failure.message)\n".utf8))
    }
    if !failures.isEmpty { throw ExitCode(2) }
    if reports.contains(where: { !$0.findings.isEmpty }) { throw ExitCode(1) }
  }

  private static func readings(
    of sources: [MetricsSource], failures: inout [ServingError]
  ) async -> [MetricsSnapshot?] {
    var readings: [MetricsSnapshot?] = []
    for source in sources {
      do throws(ServingError) {
        readings.append(try await source.read())
      } catch {
        failures.append(error)
        readings.append(nil)
      }
    }
    return readings
  }

  private func show(_ reports: [DiagnosisReport]) throws {
    guard json else { return try StandardOutput.write(reports.map(\.text).joined()) }
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    let object = String(decoding: try encoder.encode(["processes": reports]), as: UTF8.self)
    try StandardOutput.write(object + "\n")
  }
}
