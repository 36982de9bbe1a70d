import Foundation
import Testing

// `baton bench` and what it compares.
extension CommandLineTests {
  @Test func benchNamesItsSubcommands() async throws {
    let help = try await run(["bench", "--help"])
    #expect(help.code == 0)
    for name in ["engine", "paged", "sweep", "speculation", "latency", "offload", "cluster", "router", "prompts"] {
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
    (["sweep", "--parameter", "num_scheduler_threads", "--values", "1,2"], "'num_scheduler_threads'"),
    (["sweep", "--parameter", "gpu_memory_utilization", "--values", "0.5"], "'gpu_memory_utilization'"),
    (["sweep", "--parameter", "memory_budget", "--values", "1GiB", "--num-blocks", "64"], "num_blocks"),
    (["sweep", "--parameter", "block_size", "--values", "8", "--tenants", "0"], "--tenants"),
    (["prompts", "--prompts", "0"], "--prompts"), (["prompts", "--num-scheduler-threads", "300"], "1 to 256"),
    (["speculation", "--rows", "code,poem"], "'poem'"), (["speculation", "--methods", "guess"], "'guess'"),
    (["paged", "--rate", "1e-300"], "--rate"), (["latency", "--streams", "0"], "--streams"),
    (["offload", "--turns", "0"], "--turns"), (["latency", "--streams", "500"], "max_num_seqs"),
    (["speculation", "--pairs", "1"], "--pairs"), (["speculation", "--methods", "draft"], "--draft-model"),
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
    let (json, chart) = Self.files()
    defer { for file in [json, chart] { try? FileManager.default.removeItem(at: file) } }
    let outcome = try await run([
      "bench", "paged", "--model", TestFiles.model ?? "", "--requests", "12", "--max-model-len", "64", "--budget", "2",
      "--json", json.path, "--svg", chart.path,
    ])
    #expect(outcome.code == 0, "\(outcome.errors)")
    let report = try JSONSerialization.jsonObject(with: Data(contentsOf: json)) as? [String: Any] ?? [:]
    let picture = try String(contentsOf: chart, encoding: .utf8)
    #expect(picture.hasPrefix("<svg") && picture.contains("contiguous") && picture.contains("</svg>"))
    let rows = report["results"] as? [[String: Any]] ?? []
    let names = ["contiguous", "paged", "fp8", "int8", "prefix", "offload", "speculation"]
    // With the files elsewhere, the table is what is printed.
    #expect(names.allSatisfy { outcome.output.contains($0) }, "\(outcome.output)")
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

  /// With a model that drafts for itself.
  @Test(.enabled(if: TestFiles.model != nil, "needs SmolLM2"))
  func speculationIsComparedWithPlainDecoding() async throws {
    let model = TestFiles.model ?? ""
    let text = FileManager.default.temporaryDirectory.appending(path: "baton-\(UUID().uuidString).txt")
    try "one two three one two three one two".write(to: text, atomically: true, encoding: .utf8)
    defer { try? FileManager.default.removeItem(at: text) }
    let outcome = try await run([
      "bench", "speculation", "--model", model, "--draft-model", model, "--rows", "code,unpredictable,verify", "--code",
      text.path, "--generate", "16", "--pairs", "2", "--narrow-pairs", "2", "--json", "-",
    ])
    #expect(outcome.code == 0, "\(outcome.errors)")
    let report = try JSONSerialization.jsonObject(with: Data(outcome.output.utf8)) as? [String: Any] ?? [:]
    let rows = report["results"] as? [[String: Any]] ?? []
    #expect(rows.compactMap { $0["method"] as? String } == ["ngram", "ngram", "suffix", "suffix", "draft", "draft"])
    // As slow as the target it may not be asked at all.
    #expect(rows[4]["drafted"] as? Int == 0 || rows[4]["acceptance"] as? Double == 1)
    let bars = report["bars"] as? [[String: Any]] ?? []
    #expect(bars.compactMap { $0["bar"] as? Double } == [0.97, 0.97, 1.15, 0.97, 1.5])
    let missing = try await run(["bench", "speculation", "--model", model, "--rows", "edit", "--edit", "/no/such/text"])
    #expect(missing.code == 64 && missing.errors.contains("/no/such/text"), "\(missing.errors)")
  }

  private static func files() -> (json: URL, chart: URL) {
    let stem = FileManager.default.temporaryDirectory.appending(path: "baton-\(UUID().uuidString)")
    return (stem.appendingPathExtension("json"), stem.appendingPathExtension("svg"))
  }

  @Test(
    .enabled(if: TestFiles.model != nil, "needs SmolLM2"),
    arguments: [("prefill_chunk_size", "16,64"), ("num_speculative_tokens", "0,4")])
  func aSweepWritesItsFiles(parameter: String, values: String) async throws {
    let (json, chart) = Self.files()
    defer { for file in [json, chart] { try? FileManager.default.removeItem(at: file) } }
    let outcome = try await run([
      "bench", "sweep", "--model", TestFiles.model ?? "", "--requests", "4", "--max-model-len", "64", "--parameter",
      parameter, "--values", values, "--json", json.path, "--svg", chart.path,
    ])
    #expect(outcome.code == 0, "\(outcome.errors)")
    let report = try JSONSerialization.jsonObject(with: Data(contentsOf: json)) as? [String: Any] ?? [:]
    let rows = report["results"] as? [[String: Any]] ?? []
    #expect(rows.compactMap { $0["value"] as? String } == values.split(separator: ",").map(String.init), "\(rows)")
    let picture = try String(contentsOf: chart, encoding: .utf8)
    #expect(picture.hasPrefix("<svg") && picture.contains(">\(parameter)<"))
    #expect(values.split(separator: ",").allSatisfy { picture.contains(">\($0)<") })
    #expect(values.split(separator: ",").allSatisfy { outcome.output.contains($0) }, "\(outcome.output)")
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

  /// What a sweep's rows say of one figure.
  private func sweep(_ parameter: String, _ values: String, _ options: [String], figure: String) async throws
    -> [Double]
  {
    let outcome = try await run(
      ["bench", "sweep", "--model", TestFiles.model ?? "", "--parameter", parameter, "--values", values, "--json", "-"]
        + options)
    #expect(outcome.code == 0, "\(outcome.errors)")
    let report = try JSONSerialization.jsonObject(with: Data(outcome.output.utf8)) as? [String: Any] ?? [:]
    return (report["results"] as? [[String: Any]] ?? []).compactMap { row in
      (row[figure] ?? (row["figures"] as? [String: Any])?[figure]) as? Double
    }
  }

  /// The pool is as large as follows from these, not as some contexts.
  @Test(
    .enabled(if: TestFiles.model != nil, "needs SmolLM2"),
    arguments: [
      ("max_model_len", "256,1024", ["--max-num-seqs", "2"]), ("memory_budget", "400MiB,800MiB", []),
      ("memory_utilization", "0.5,0.9", ["--memory-budget", "800MiB"]),
    ])
  func aSweepOfThePoolsSize(parameter: String, values: String, options: [String]) async throws {
    let blocks = try await sweep(parameter, values, ["--requests", "2"] + options, figure: "blocks")
    try #require(blocks.count == 2)
    #expect(blocks[0] > 0 && blocks[0] < blocks[1], "\(blocks)")
  }

  @Test(.enabled(if: TestFiles.model != nil, "needs SmolLM2"))
  func aSweepCountsWhoIsRefused() async throws {
    let refused = try await sweep(
      "max_queued_requests", "1,64",
      ["--requests", "12", "--clients", "12", "--max-num-seqs", "1", "--max-model-len", "64"],
      figure: "refused")
    try #require(refused.count == 2)
    #expect(refused[0] > 0 && refused[1] == 0, "\(refused)")
  }

  @Test(.enabled(if: TestFiles.model != nil, "needs SmolLM2"))
  func promptsAreReadWithEachNumberOfThreads() async throws {
    let outcome = try await run([
      "bench", "prompts", "--model", TestFiles.model ?? "", "--num-scheduler-threads", "1,3", "--prompts", "2",
      "--prompt-length", "50", "--runs", "1",
    ])
    #expect(outcome.code == 0, "\(outcome.errors)")
    #expect(outcome.output.contains("threads 1: ") && outcome.output.contains("threads 3: "))
  }

  @Test(arguments: [
    (["cluster", "--policy", "prefix,nearest"], "nearest"), (["cluster", "--workers", "4"], "--workers"),
    (["cluster", "--workers", "4:0"], "--workers"), (["cluster", "--rate", "0"], "--rate"),
    (["cluster", "--slo-itl", "-1"], "--slo-itl"), (["router", "--streams", "0"], "--streams"),
    (["router", "--seconds", "500"], "--seconds"), (["cluster", "--rate", "1000000", "--seconds", "1000"], "million"),
  ])
  func clustersRefuseWhatTheyCannotRun(options: [String], message: String) async throws {
    let outcome = try await run(["bench"] + options)
    #expect(outcome.code == 64 && outcome.errors.contains(message), "\(outcome.errors)")
  }

  @Test func anUnknownTraceIsNotFound() async throws {
    let outcome = try await run(["bench", "cluster", "--trace", "no-such-trace"])
    #expect(outcome.code == 66 && outcome.errors.contains("chats, documents, mixed"), "\(outcome.errors)")
  }

  @Test(.enabled(if: TestFiles.redis != nil, "needs redis-server"))
  func policiesAreComparedOverSimulatedWorkers() async throws {
    let chart = FileManager.default.temporaryDirectory.appending(path: "baton-\(UUID().uuidString).svg")
    defer { try? FileManager.default.removeItem(at: chart) }
    let outcome = try await run([
      "bench", "cluster", "--policy", "prefix,round_robin", "--workers", "2:2", "--simulate", "free", "--rate", "12",
      "--seconds", "3", "--warm-up", "0", "--json", "-", "--svg", chart.path,
    ])
    #expect(outcome.code == 0, "\(outcome.errors)")
    let report = try JSONSerialization.jsonObject(with: Data(outcome.output.utf8)) as? [String: Any] ?? [:]
    let rows = report["results"] as? [[String: Any]] ?? []
    #expect(rows.compactMap { $0["policy"] as? String } == ["prefix", "round_robin"])
    for row in rows {
      let figures = row["figures"] as? [String: Any] ?? [:]
      #expect(figures["successRate"] as? Double == 1, "\(figures["failures"] ?? "")")
      let hits = figures["hitRate"] as? Double ?? -1
      #expect(hits > 0 && hits <= figures["perfectHitRate"] as? Double ?? 0)
      #expect(figures["imbalance"] as? Double ?? 0 >= 1)
    }
    #expect((report["bars"] as? [Any])?.isEmpty == false)
    #expect(try String(contentsOf: chart, encoding: .utf8).hasPrefix("<svg"))
  }

  @Test(.enabled(if: TestFiles.redis != nil, "needs redis-server"))
  func aRouterIsMeasuredAlone() async throws {
    let outcome = try await run([
      "bench", "router", "--pairs", "3", "--streams", "8", "--workers", "2", "--offered", "400", "--seconds", "0.5",
      "--json", "-",
    ])
    #expect(outcome.code == 0, "\(outcome.errors)")
    let report = try JSONSerialization.jsonObject(with: Data(outcome.output.utf8)) as? [String: Any] ?? [:]
    #expect((report["bars"] as? [Any])?.isEmpty == false)
  }
}
