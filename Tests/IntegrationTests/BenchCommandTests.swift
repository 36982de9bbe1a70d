import Foundation
import Testing

// `baton bench` and what it compares.
extension CommandLineTests {
  @Test func benchNamesItsSubcommands() async throws {
    let help = try await run(["bench", "--help"])
    #expect(help.code == 0)
    for name in ["engine", "paged", "sweep"] {
      #expect(help.output.contains("  \(name) "))
      let own = try await run(["bench", name, "--help"])
      #expect(own.code == 0 && own.output.contains("USAGE: baton bench \(name)"))
    }
  }

  @Test(arguments: [
    (["paged", "--rows", "paged,nothing"], "'nothing'"), (["paged", "--budget", "0"], "--budget"),
    (["paged", "--requests", "0"], "--requests"), (["paged", "--clients", "2", "--rate", "3"], "--rate"),
    (["sweep", "--parameter", "block_sise", "--values", "8"], "did you mean block_size?"),
    (["sweep", "--parameter", "block_size", "--values", "8,x"], "'x'"),
    (["sweep", "--parameter", "block_size", "--values", "8,"], "--values"),
    (["sweep", "--parameter", "max_model_len", "--values", "8"], "'max_model_len'"),
  ])
  func comparisonsRefuseWhatTheyCannotRun(options: [String], message: String) async throws {
    let outcome = try await run(["bench"] + options + ["--model", "a"])
    #expect(outcome.code == 64 && outcome.errors.contains(message), "\(outcome.errors)")
  }

  /// No server reserves whole contexts.
  @Test func reservationIsNoParameter() async throws {
    let outcome = try await run(["decode", "--model", "a", "--print-config"])
    #expect(outcome.code == 0 && !outcome.output.contains("reserv"), "\(outcome.output)")
  }

  @Test(.enabled(if: TestFiles.model != nil, "needs SmolLM2"))
  func pagingIsComparedWithReserving() async throws {
    let outcome = try await run([
      "bench", "paged", "--model", TestFiles.model ?? "", "--requests", "12", "--max-model-len", "64", "--budget", "2",
      "--json", "-",
    ])
    #expect(outcome.code == 0, "\(outcome.errors)")
    let report = try JSONSerialization.jsonObject(with: Data(outcome.output.utf8)) as? [String: Any] ?? [:]
    let rows = report["results"] as? [[String: Any]] ?? []
    let names = ["contiguous", "paged", "fp8", "int8", "prefix", "offload", "speculation"]
    #expect(rows.compactMap { $0["row"] as? String } == names)
    // Keys and values that are stored alike give the same tokens.
    for row in rows where !["fp8", "int8"].contains(row["row"] as? String) {
      #expect(row["sameTokens"] as? Double == 1, "\(row)")
    }
    #expect((rows[0]["figures"] as? [String: Any])?["sequencesAtOnce"] as? Double ?? 99 <= 2)
    let bars = report["bars"] as? [[String: Any]] ?? []
    #expect(bars.count == 3)
    for bar in bars {
      #expect(Set(bar.keys) == ["work", "figure", "ours", "baseline", "ratio", "bar", "met", "unit"])
    }
  }

  @Test(.enabled(if: TestFiles.model != nil, "needs SmolLM2"))
  func aSweepRunsEachValue() async throws {
    let outcome = try await run([
      "bench", "sweep", "--model", TestFiles.model ?? "", "--requests", "4", "--max-model-len", "64", "--parameter",
      "block-size", "--values", "8,32", "--svg", "-",
    ])
    #expect(outcome.code == 0, "\(outcome.errors)")
    #expect(outcome.output.hasPrefix("<svg") && outcome.output.contains(">block_size<"))
    #expect(outcome.output.contains(">8<") && outcome.output.contains(">32<"))
  }
}
