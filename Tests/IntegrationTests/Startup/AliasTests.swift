import Foundation
import Testing

/// Names that other servers have for a parameter.
@Suite(.enabled(if: TestFiles.baton != nil, "needs the baton binary"))
struct AliasTests {
  /// A parameter, its other name, a value, and the line that the value gives.
  static let names = [
    ("num_blocks", "num_gpu_blocks", "77", "num_blocks: 77"),
    ("memory_utilization", "gpu_memory_utilization", "0.5", "memory_utilization: 0.5"),
    ("enable_prefix_caching", "reuse_prefix_cache", "false", "enable_prefix_caching: false"),
  ]

  /// The effective configuration, and how it went.
  private func effective(
    flags: [String] = [], variables: [String: String] = [:], file: String? = nil
  ) async throws -> CommandLineTests.Outcome {
    let path = FileManager.default.temporaryDirectory.appending(path: "baton-\(UUID().uuidString).yaml").path
    if let file { try file.write(toFile: path, atomically: true, encoding: .utf8) }
    defer { if file != nil { try? FileManager.default.removeItem(atPath: path) } }
    return try await CommandLineTests().run(
      ["decode", "--model", "a", "--worker-id", "w", "--print-config"] + flags
        + (file == nil ? [] : ["--config", path]), environment: variables)
  }

  private func flag(_ name: String, _ value: String) -> [String] {
    let words = name.replacing("_", with: "-")
    return value == "false" ? ["--no-\(words)"] : value == "true" ? ["--\(words)"] : ["--\(words)", value]
  }

  private func variable(_ name: String) -> String { "BATON_" + name.uppercased() }

  @Test(arguments: names)
  func anAliasDoesWhatTheNameDoes(name: String, alias: String, value: String, line: String) async throws {
    for (source, byName, byAlias) in [
      ("flag", try await effective(flags: flag(name, value)), try await effective(flags: flag(alias, value))),
      (
        "environment", try await effective(variables: [variable(name): value]),
        try await effective(variables: [variable(alias): value])
      ),
      ("file", try await effective(file: "\(name): \(value)\n"), try await effective(file: "\(alias): \(value)\n")),
    ] {
      #expect(byAlias.code == 0 && byAlias.output == byName.output, "\(byAlias.errors)\(byAlias.output)")
      #expect(byAlias.output.split(separator: "\n").contains("\(line)  # \(source)"), "\(byAlias.output)")
    }
  }

  /// What wins is the stronger source, whichever name it uses; of two flags, as always, the last one.
  @Test(arguments: names)
  func sourcesWinUnderEitherName(name: String, alias: String, value: String, line: String) async throws {
    let other = ["77": "78", "0.5": "0.6"][value, default: "true"]
    for (weak, strong) in [(name, alias), (alias, name)] {
      for outcome in [
        try await effective(variables: [variable(strong): value], file: "\(weak): \(other)\n"),
        try await effective(flags: flag(strong, value), variables: [variable(weak): other]),
        try await effective(flags: flag(weak, other) + flag(strong, value)),
      ] {
        #expect(outcome.code == 0 && outcome.output.contains("\n\(line)  # "), "\(outcome.errors)\(outcome.output)")
      }
    }
  }

  /// A source that says two things has no last word; one that says a thing twice is understood.
  @Test(arguments: names)
  func contradictionsAreMistakes(name: String, alias: String, value: String, line: String) async throws {
    let other = ["77": "78", "0.5": "0.6"][value, default: "true"]
    let variables = try await effective(variables: [variable(name): value, variable(alias): other])
    #expect(variables.code == 64, "\(variables.output)")
    let words = "\(variable(name)) is '\(value)', and \(variable(alias)) is '\(other)': leave one out"
    #expect(variables.errors.contains(words), "\(variables.errors)")
    let file = try await effective(file: "\(alias): \(value)\n\(name): \(other)\n")
    #expect(file.code == 64 && file.errors.contains("\(alias) ("), "\(file.errors)")
    #expect(file.errors.contains("is '\(value)': leave one out"), "\(file.errors)")
    let twice = try await effective(file: "\(alias): \(value)\n\(name): \(value)\n")
    #expect(twice.code == 0 && twice.output.contains("\(line)  # file"), "\(twice.errors)")
    // What a flag decides, nobody has to disentangle.
    let flagged = try await effective(
      flags: flag(alias, value), variables: [variable(name): value, variable(alias): other])
    #expect(flagged.code == 0 && flagged.output.contains("\(line)  # flag"), "\(flagged.errors)")
  }

  @Test(.enabled(if: TestFiles.model != nil, "needs SmolLM2"))
  func aliasesReachTheEngine() async throws {
    let path = FileManager.default.temporaryDirectory.appending(path: "baton-\(UUID().uuidString).yaml").path
    try "num_gpu_blocks: 40\n".write(toFile: path, atomically: true, encoding: .utf8)
    defer { try? FileManager.default.removeItem(atPath: path) }
    let log = try await StartupLog.decided(
      ["--config", path, "--gpu-memory-utilization", "0.5"], environment: ["BATON_REUSE_PREFIX_CACHE": "false"])
    #expect(log.blocks.numBlocks == 40 && !log.blocks.prefixCaching && log.memory?.utilization == 0.5)
  }
}
