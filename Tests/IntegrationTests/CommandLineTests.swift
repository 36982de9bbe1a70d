import ClusterHarness
import Foundation
import ServingTypes
import Testing

/// The binary as its users meet it: configuration, errors, exit codes, one prompt.
@Suite(.enabled(if: TestFiles.baton != nil, "needs the baton binary"))
struct CommandLineTests {
  struct Outcome {
    var code: Int32
    var output: String
    var errors: String
  }

  func run(_ arguments: [String], environment: [String: String] = [:]) async throws -> Outcome {
    let folder = FileManager.default.temporaryDirectory.appending(path: "baton-\(RequestID.random().value.prefix(12))")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: folder) }
    let paths = ["out", "err"].map { folder.appending(path: $0) }
    for path in paths { _ = FileManager.default.createFile(atPath: path.path, contents: nil) }
    let process = Process()
    process.executableURL = URL(filePath: TestFiles.baton ?? "")
    process.arguments = arguments
    process.environment = ["PATH": "/usr/bin:/bin", "HOME": folder.path].merging(environment) { _, new in new }
    process.standardInput = FileHandle.nullDevice
    process.standardOutput = try FileHandle(forWritingTo: paths[0])
    process.standardError = try FileHandle(forWritingTo: paths[1])
    try process.run()
    let started = Lock(process)
    defer { started.withLock { if $0.isRunning { kill($0.processIdentifier, SIGKILL) } } }
    try await waitUntil("baton \(arguments.joined(separator: " ")) ends") { started.withLock { !$0.isRunning } }
    return Outcome(
      code: started.withLock { $0.terminationStatus }, output: try String(contentsOf: paths[0], encoding: .utf8),
      errors: try String(contentsOf: paths[1], encoding: .utf8))
  }

  private func file(_ text: String) throws -> String {
    let path = FileManager.default.temporaryDirectory.appending(path: "baton-\(RequestID.random().value).yaml")
    try text.write(to: path, atomically: true, encoding: .utf8)
    return path.path
  }

  @Test func flagsWinOverEnvironmentAndThatOverTheFile() async throws {
    let config = try file("model: a.gguf\nblock_size: 8\nmax_num_seqs: 3\nthreads: 2\n")
    defer { try? FileManager.default.removeItem(atPath: config) }
    let outcome = try await run(
      ["decode", "--config", config, "--print-config", "--block-size", "32"],
      environment: ["BATON_BLOCK_SIZE": "64", "BATON_MAX_NUM_SEQS": "7"])
    #expect(outcome.code == 0, "\(outcome.errors)")
    for line in [
      "block_size: 32  # flag", "max_num_seqs: 7  # environment", "threads: 2  # file", "model: a.gguf  # file",
      "prefill_chunk_size: 1024",
    ] {
      #expect(outcome.output.split(separator: "\n").contains(Substring(line)), "\(line) is not in \(outcome.output)")
    }
  }

  @Test func aPrintedConfigurationCanBeReadAgain() async throws {
    let arguments = ["decode", "--model", "a \"b\".gguf", "--target-step-time", "20ms", "--print-config"]
    let first = try await run(arguments)
    let config = try file(first.output)
    defer { try? FileManager.default.removeItem(atPath: config) }
    let second = try await run(["decode", "--config", config, "--print-config"])
    func bare(_ text: String) -> [Substring] {
      text.split(separator: "\n").map { $0.prefix { $0 != "#" } }.map {
        Substring($0.trimmingCharacters(in: .whitespaces))
      }
    }
    #expect(second.code == 0, "\(second.errors)")
    #expect(bare(first.output) == bare(second.output))
  }

  @Test(arguments: [
    (["--enable-kv-cache-quantization"], "fp8"), (["--no-enable-kv-cache-quantization"], "f16"), ([], "f16"),
    (["--enable-kv-cache-quantization", "--kv-cache-dtype", "int8"], "int8"),
    (["--no-enable-kv-cache-quantization", "--kv-cache-dtype", "bf16"], "bf16"),
  ])
  func quantizationIsShortForADtype(arguments: [String], dtype: String) async throws {
    let outcome = try await run(["decode", "--model", "a", "--print-config"] + arguments)
    #expect(outcome.code == 0, "\(outcome.errors)")
    #expect(outcome.output.contains("kv_cache_dtype: \(dtype)"), "\(outcome.output)")
    // What is printed says the same when it is read.
    let config = try file(outcome.output)
    defer { try? FileManager.default.removeItem(atPath: config) }
    let again = try await run(["decode", "--config", config, "--print-config"])
    #expect(again.code == 0 && again.output.contains("kv_cache_dtype: \(dtype)"), "\(again.errors)")
  }

  static let mistakes: [([String], String, String)] = [
    (
      ["decode", "--model", "a", "--enable-kv-cache-quantization", "--kv-cache-dtype", "f16"], "",
      "enable_kv_cache_quantization is true, and kv_cache_dtype is f16: leave one out"
    ),
    (
      ["decode", "--model", "a", "--kv-cache-dtype", "int8"], "enable_kv_cache_quantization: false",
      "enable_kv_cache_quantization is false, and kv_cache_dtype is int8: leave one out"
    ),
    (["decode", "--model", "a"], "enable_kv_cache_quantization: 8", "it must be true or false"),
    (["decode", "--print-config"], "", "model is missing"),
    (["decode", "--model", "a"], "blok_size: 8", "unknown key 'blok_size'"),
    (["decode", "--model", "a"], "blok_size: 8", "did you mean 'block_size'?"),
    (["decode", "--model", "a"], "block_size: 7", "block_size (",),
    (
      ["decode", "--model", "a", "--block-size", "abc"], "", "--block-size is 'abc'; it must be a whole number, 8 to 64"
    ),
    (["decode", "--model", "a", "--target-step-time", "soon"], "", "--target-step-time is 'soon'"),
    (["decode", "--model", "a", "--memory-budget", "much"], "", "--memory-budget is 'much'"),
    (["decode", "--model", "a", "--batch-scheduler-policy", "best"], "", "one of fifo, lifo"),
    (["decode", "--model", "a"], "- 1\n- 2\n", "must be one mapping"),
    (["decode", "--model", "a"], "a: [\n", "is not YAML"),
    (["decode", "--model", "a", "--listen", "0.0.0.0:7000"], "", "advertise is missing"),
    (["decode", "--model", "a", "--listen", "127.0.0.1:99999"], "", "--listen is '127.0.0.1:99999'"),
    (["router", "--model", "a", "--listen", "somewhere"], "", "--listen is 'somewhere'; it must be host:port"),
    (["router", "--model", "a", "--http-listen", "unix:/a"], "", "--http-listen is 'unix:/a'"),
    (["decode", "--model", "a", "--advertise", "pod"], "", "--advertise is 'pod'"),
    (["decode", "--modle", "a"], "", "--modle"),
    (["serve", "--model", "a", "--redis", "redis://127.0.0.1"], "", "redis and workers are for"),
    (["generate", "--model", "a"], "", "give one of --prompt"),
    (["generate", "--model", "a", "--router", "b", "--prompt", "c"], "", "not both"),
    (["generate", "--model", "a", "--token-ids", "1,x"], "", "--token-ids holds 'x'"),
    (["conduct"], "", "conduct"),
  ]

  @Test(arguments: mistakes.indices)
  func mistakesAreOneLineWithStatus64(_ index: Int) async throws {
    let (arguments, yaml, words) = Self.mistakes[index]
    let config = yaml.isEmpty ? nil : try file(yaml)
    defer { if let config { try? FileManager.default.removeItem(atPath: config) } }
    let outcome = try await run(arguments + (config.map { ["--config", $0] } ?? []))
    #expect(outcome.code == 64)
    #expect(outcome.errors.hasPrefix("baton: error: ") && outcome.errors.contains(words), "\(outcome.errors)")
    #expect(outcome.errors.split(separator: "\n").count == 1, "\(outcome.errors)")
  }

  @Test func unknownVariablesAreNamedWithTheNearest() async throws {
    let outcome = try await run(["decode", "--model", "a"], environment: ["BATON_NUM_BLOKS": "9"])
    #expect(outcome.code == 64)
    #expect(outcome.errors.contains("unknown variable BATON_NUM_BLOKS; did you mean BATON_NUM_BLOCKS?"))
  }

  @Test func negativeNumbersAreValuesNotFlags() async throws {
    for flag in ["--temperature", "--max-tokens", "--logprobs"] {
      let outcome = try await run(["generate", "--model", "/no/such/file", "--prompt", "a", flag, "-1"])
      #expect(outcome.code == 66, "\(outcome.errors)")
    }
  }

  @Test func variablesOfServicesNamedBatonAreLeftAlone() async throws {
    var links = [
      "BATON_REDIS_SERVICE_HOST": "10.0.0.1", "BATON_REDIS_SERVICE_PORT": "6379",
      "BATON_ROUTER_SERVICE_PORT_HTTP": "8080", "BATON_REDIS_PORT": "tcp://10.0.0.1:6379",
      "BATON_SERVICE_HOST": "10.0.0.1", "BATON_PORT": "tcp://10.0.0.1:80", "BATON_PORT_80_TCP": "tcp://10.0.0.1:80",
    ]
    for suffix in ["", "_PROTO", "_PORT", "_ADDR"] { links["BATON_REDIS_PORT_6379_TCP" + suffix] = "10.0.0.1" }
    let outcome = try await run(["decode", "--model", "a", "--print-config"], environment: links)
    #expect(outcome.code == 0, "\(outcome.errors)")
  }

  @Test func everyMistakeIsReportedAtOnce() async throws {
    let outcome = try await run(["decode", "--block-size", "1", "--threads", "0"])
    for words in ["model is missing", "--block-size is '1'", "--threads is '0'"] {
      #expect(outcome.errors.contains(words), "\(outcome.errors)")
    }
  }

  @Test func secretsAreHidden() async throws {
    let outcome = try await run([
      "router", "--model", "a", "--api-key", "hush-1", "--auth-token", "hush-2", "--redis",
      "redis://:hush-3@127.0.0.1:6379", "--print-config",
    ])
    #expect(outcome.code == 0, "\(outcome.errors)")
    #expect(!outcome.output.contains("hush"), "\(outcome.output)")
  }

  @Test func helpNamesEveryRole() async throws {
    let outcome = try await run(["--help"])
    #expect(outcome.code == 0)
    for role in ["serve", "router", "prefill", "decode", "generate", "bench", "model"] {
      #expect(outcome.output.contains("  \(role) "))
      let help = try await run([role, "--help"])
      #expect(help.code == 0 && help.output.contains("USAGE: baton \(role)"))
    }
  }

  @Test(arguments: [
    ["--prefill", "512,"], ["--batch", "0"], ["--depth", "x"], ["--only", "nothing"], ["--generate", "1"],
    ["--prompt", "0"], ["--path", "sse"],
  ])
  func benchRefusesWhatItCannotMeasure(options: [String]) async throws {
    let outcome = try await run(["bench", "--model", "a"] + options)
    #expect(outcome.code == 64 && outcome.errors.contains(options[0]), "\(outcome.errors)")
  }

  @Test(.enabled(if: TestFiles.model != nil, "needs SmolLM2"))
  func benchMeasuresWhatWasAskedFor() async throws {
    let common = ["bench", "--model", TestFiles.model ?? "", "--num-blocks", "64", "--runs", "1", "--json"]
    let outcome = try await run(
      common + ["--only", "decode", "--batch", "1,3", "--prompt", "8", "--generate", "16", "--depth", "32"])
    #expect(outcome.code == 0, "\(outcome.errors)")
    let rows = try JSONSerialization.jsonObject(with: Data(outcome.output.utf8)) as? [[String: Any]] ?? []
    let names = ["load", "decode, batch 1", "decode, batch 3", "decode at 32", "peak memory"]
    #expect(rows.compactMap { $0["name"] as? String } == names)
    #expect(rows.allSatisfy { ($0["value"] as? Double ?? 0) > 0 })
    let long = try await run(common + ["--only", "prefill", "--prefill", "900000"])
    #expect(long.code == 64 && long.errors.contains("900000"), "\(long.errors)")
  }

  /// A router whose directory is gone, one without any, and nobody at all.
  @Test(.enabled(if: TestFiles.model != nil, "needs SmolLM2"))
  func theDoctorsExitCodesTellWhatWasFound() async throws {
    try await LocalProcesses.run { processes in
      func router(_ name: String, _ arguments: [String]) async throws -> String {
        let router = processes.add(
          name, executable: TestFiles.baton ?? "",
          arguments: ["router", "--listen", "127.0.0.1:0", "--http-listen", "127.0.0.1:0"] + TestFiles.modelArguments
            + arguments)
        try router.start()
        try await router.waitUntilReady()
        return "http://\(router.http)"
      }
      let ill = try await router("ill", ["--redis", "unix://\(processes.folder)/nobody.sock"])
      let well = try await router("well", ["--workers", "127.0.0.1:1"])
      func doctor(_ urls: [String]) async throws -> Outcome {
        try await run(["doctor", "--interval", "0", "--json"] + urls.flatMap { ["--url", $0] })
      }
      let nothing = try await doctor([well])
      #expect(nothing.code == 0 && nothing.errors.isEmpty, "\(nothing)")
      let found = try await doctor([well, ill])
      #expect(found.code == 1 && found.output.contains("\"directory_errors\""), "\(found)")
      let unreadable = try await doctor([ill, "http://127.0.0.1:1"])
      #expect(unreadable.code == 2 && unreadable.errors.contains("127.0.0.1:1"), "\(unreadable)")
      #expect(unreadable.output.contains("\"directory_errors\""), "what can be read is told all the same")
    }
    #expect(try await run(["doctor"]).code == 64)
  }

  @Test func brokenModelsAreErrorsNotCrashes() async throws {
    #expect(try await run(["model", "inspect", "/no/such/file"]).code == 66)
    let broken = try file("GGUF but not really")
    defer { try? FileManager.default.removeItem(atPath: broken) }
    for arguments in [["model", "inspect", broken], ["generate", "--model", broken, "--prompt", "a"]] {
      let outcome = try await run(arguments)
      #expect(outcome.code == 1 || outcome.code == 64)
      #expect(outcome.errors.hasPrefix("baton: error: ") && outcome.errors.contains(broken), "\(outcome.errors)")
    }
  }

  @Test(.enabled(if: TestFiles.model != nil, "needs SmolLM2"))
  func generateGivesOneJSONObject() async throws {
    let arguments = [
      "generate", "--model", TestFiles.model ?? "", "--num-blocks", "64", "--prompt", "The capital of France is",
      "--raw",
      "--max-tokens", "8", "--temperature", "0", "--ignore-eos", "--logprobs", "10", "--json",
    ]
    let outcome = try await run(arguments)
    #expect(outcome.code == 0, "\(outcome.errors)")
    #expect(outcome.errors.isEmpty, "\(outcome.errors)")
    let object = try JSONSerialization.jsonObject(with: Data(outcome.output.utf8)) as? [String: Any] ?? [:]
    for key in [
      "prompt_token_ids", "token_ids", "text", "finish_reason", "top_logprobs", "timing", "cached_tokens", "route",
    ] {
      #expect(object[key] != nil, "no \(key)")
    }
    let tokens = object["token_ids"] as? [Int] ?? []
    #expect(tokens.count == 8 && object["finish_reason"] as? String == "length")
    let top = object["top_logprobs"] as? [[[Double]]] ?? []
    #expect(top.count == 8 && top.allSatisfy { $0.count == 10 && $0.allSatisfy { $0.count == 2 } })
    // Greedy: the token is the most likely one.
    #expect(zip(tokens, top).allSatisfy { Double($0) == $1.first?.first })
    let prompt = (object["prompt_token_ids"] as? [Int] ?? []).map(String.init).joined(separator: ",")
    let again = try await run([
      "generate", "--model", TestFiles.model ?? "", "--num-blocks", "64", "--token-ids", prompt, "--max-tokens", "8",
      "--ignore-eos", "--json", "--prefill-chunk-size", "7", "--no-speculation",
    ])
    let same = try JSONSerialization.jsonObject(with: Data(again.output.utf8)) as? [String: Any] ?? [:]
    #expect(same["token_ids"] as? [Int] == tokens)
  }
}
