import ArgumentParser
import Foundation
import LoadHarness
import ModelRuntime
import RPC
import Routing
import ServingTypes
import Tokenization

/// `baton bench prompts`.
struct BenchPrompts: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "prompts",
    abstract: "How fast a router reads long prompts, with each number of scheduler threads.",
    discussion: """
      Texts of random words, tokenised all at once by a router without workers.

      EXAMPLES
        baton bench prompts --model model.gguf --num-scheduler-threads 1,2,4
      """)

  struct Row: Encodable {
    var threads: Int
    /// The median of the runs.
    var tokensPerSecond: Double

    var line: String { "num_scheduler_threads \(threads): \(Int(tokensPerSecond.rounded())) tokens/s" }
  }

  @OptionGroup var common: CommonOptions
  @OptionGroup(title: "Model") var model: ModelOptions
  @Option(help: ArgumentHelp("Threads that tokenise (1,2).", valueName: "n,…"))
  var numSchedulerThreads: NumberList?
  @Option(help: ArgumentHelp("Prompts at once.", valueName: "n"))
  var prompts = 16
  @Option(help: ArgumentHelp("Tokens of each, about.", valueName: "n"))
  var promptLength = 4000
  @Option(help: ArgumentHelp("Runs of each number, in turn; the medians count.", valueName: "n"))
  var runs = 5
  @Option(help: ArgumentHelp("Write rows as JSON; - is standard output.", valueName: "file"))
  var json: String?

  func validate() throws {
    if let counts = numSchedulerThreads?.values, counts.contains(where: { $0 > 256 }) {
      throw ValidationError("--num-scheduler-threads must be 1 to 256")
    }
    if !(1...1000).contains(prompts) { throw ValidationError("--prompts must be 1 to 1000") }
    if !(1...100_000).contains(promptLength) { throw ValidationError("--prompt-length must be 1 to 100000") }
    if !(1...1000).contains(runs) { throw ValidationError("--runs must be 1 to 1000") }
  }

  func run() async throws {
    let launched = try Launch.settings(common, logLevel: .warning) { reader in ModelSettings(model, &reader) }
    guard let (settings, _) = launched else { return }
    let tokenizer = try GGUFFile(path: settings.path).makeTokenizer()
    let words = Self.words(of: tokenizer)
    let texts = (0..<prompts).map { Self.text(of: promptLength, words, seed: UInt64($0)) }
    let served = ServedModel(
      name: settings.servedName, tokenizer: tokenizer, chatTemplate: nil, contextLength: 2 * promptLength)
    let counts = numSchedulerThreads?.values ?? [1, 2]
    var rates = counts.map { _ in [Double]() }
    for _ in 0..<runs {
      for (index, count) in counts.enumerated() {
        rates[index].append(try await Self.rate(of: texts, served, threads: count))
      }
    }
    let rows = zip(counts, rates).map { Row(threads: $0, tokensPerSecond: $1.median) }
    if json != "-" { for row in rows { print(row.line) } }
    if let json { try BenchReport(model: settings.servedName, bars: [], results: rows).write(to: json) }
  }

  /// Tokens a second of all texts together.
  private static func rate(of texts: [String], _ model: ServedModel, threads: Int) async throws -> Double {
    var configuration = RoutingConfiguration()
    configuration.numSchedulerThreads = threads
    let router = RequestRouter(
      models: [model], directory: nil, channels: try ChannelPool(), configuration: configuration)
    let start = ContinuousClock.now
    let count = try await withThrowingTaskGroup(of: Int.self) { group in
      for text in texts {
        group.addTask { try await router.tokenize(.text(text), model: model.name, isPlain: true).count }
      }
      return try await group.reduce(0, +)
    }
    return Double(count) / ((ContinuousClock.now - start) / .seconds(1))
  }

  /// Words that are tokens with a space before them, as most of a text's are.
  private static func words(of tokenizer: any Tokenizer) -> [String] {
    let words = (0..<TokenID(tokenizer.vocabularySize)).map { String(decoding: tokenizer.bytes(of: $0), as: UTF8.self) }
      .filter { $0.first == " " && $0.dropFirst().allSatisfy(\.isLetter) && $0.count > 2 }
    return words.isEmpty ? [" word"] : words
  }

  private static func text(of count: Int, _ words: [String], seed: UInt64) -> String {
    var random = SplitMix64(seed: seed)
    return (0..<count).map { _ in words[Int(random.next() % UInt64(words.count))] }.joined()
  }
}
