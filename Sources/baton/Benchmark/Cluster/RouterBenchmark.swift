import ClusterHarness
import Foundation
import LoadHarness
import ServingProtos
import ServingTypes

/// What a router adds to a request, and how much it carries.
struct RouterBenchmark: Sendable {
  var binary: String
  var pairs: Int
  var streams: Int
  var workers: Int
  /// Seconds that the streams last.
  var seconds: Double
  /// Tokens that the workers offer together.
  var offered: Double

  private static let promptLength = 256
  private static let answerLength = 16
  /// Of the many streams: what they bring is tokens, not prompts.
  private static let streamPromptLength = 64

  struct Result: Encodable {
    var latency: RouterLatency
    var rows: [RouterRow]
  }

  func run(show: @Sendable (String) -> Void) async throws -> Result {
    let latency = try await Cluster.run(configuration("free", workers: 1)) { try await self.latency(of: $0) }
    show(latency.line)
    var rows: [RouterRow] = []
    // A step brings each stream a token.
    let step = Double(streams) / offered
    try await withModelFile(step: step) { file in
      try await Cluster.run(configuration(file, workers: workers)) { cluster in
        for row in [
          try await self.grpc(cluster, tokens: Int(seconds / step), offered: offered),
          try await self.http(cluster, tokens: Int(seconds / step), offered: offered),
        ] {
          show(row.line)
          rows.append(row)
        }
      }
    }
    rows.append(
      try await Cluster.run(configuration("free", workers: workers)) { cluster in
        try await self.grpc(cluster, tokens: Int(2 * seconds / step), offered: nil)
      })
    show(rows[rows.count - 1].line)
    return Result(latency: latency, rows: rows)
  }

  private func configuration(_ model: String, workers: Int) -> ClusterConfiguration {
    var configuration = ClusterConfiguration(binary: binary, model: ["--simulate", model])
    (configuration.prefill, configuration.decode) = (0, workers)
    configuration.arguments = { role, _ in
      role == .decode ? ["--max-num-seqs", "\(streams)", "--no-enable-spec-decode"] : []
    }
    return configuration
  }

  /// A model whose steps take the time and nothing else.
  private func withModelFile(step: Double, _ body: (String) async throws -> Void) async throws {
    let path = FileManager.default.temporaryDirectory
      .appending(path: "baton-model-\(RequestID.random().value.prefix(12)).json").path
    let text = """
      {"name": "paced", "contextLength": 32768, "blocks": 32768, "stepMicroseconds": \(step * 1e6),
       "prefillTokenMicroseconds": 0, "decodeTokenMicroseconds": 0, "prefillPairNanoseconds": 0,
       "decodePairNanoseconds": 0}
      """
    try Data(text.utf8).write(to: URL(filePath: path))
    defer { try? FileManager.default.removeItem(atPath: path) }
    try await body(path)
  }

  // MARK: One request at a time

  private func latency(of cluster: Cluster) async throws -> RouterLatency {
    try await RouterClient.with(cluster.routers[0].grpc) { router in
      try await RouterClient.with(cluster.decode[0].grpc) { worker in
        let incarnation = try await worker.describe().reference.incarnation
        let warmUp = 20
        var (direct, routed) = ([ClientAnswer](), [ClientAnswer]())
        for pair in 0..<warmUp + pairs {
          // Prompts that nobody has seen, and who goes first alternates.
          let prompts = [UInt64(pair) * 2, UInt64(pair) * 2 + 1].map { Self.prompt(Self.promptLength, seed: $0) }
          func callDirect() async throws {
            let answer = try await worker.decode(Self.decode(prompts[0], incarnation: incarnation))
            if pair >= warmUp { direct.append(answer) }
          }
          func callRouted() async throws {
            let answer = try await router.generate(Self.generate(prompts[1], tokens: Self.answerLength))
            if pair >= warmUp { routed.append(answer) }
          }
          if pair % 2 == 0 { try await callDirect() }
          try await callRouted()
          if pair % 2 == 1 { try await callDirect() }
        }
        return RouterLatency(
          direct: .init(direct.compactMap(\.arrivals.first)), routed: .init(routed.compactMap(\.arrivals.first)),
          directWhole: .init(direct.compactMap(\.arrivals.last)), routedWhole: .init(routed.compactMap(\.arrivals.last))
        )
      }
    }
  }

  private static func prompt(_ length: Int, seed: UInt64) -> [UInt32] {
    PromptSource.random(vocabularySize: 256).tokens(length, seed: seed).map { UInt32($0) }
  }

  private static func generate(_ prompt: [UInt32], tokens: Int) -> Baton_V1_GenerateRequest {
    .with {
      $0.tokens.ids = prompt
      $0.sampling.temperature = 0
      $0.sampling.maxTokens = UInt32(tokens)
    }
  }

  private static func decode(_ prompt: [UInt32], incarnation: UInt64) -> Baton_V1_DecodeRequest {
    .with {
      $0.model = "free"
      $0.promptTokens = prompt
      $0.sampling.temperature = 0
      $0.sampling.maxTokens = UInt32(answerLength)
      $0.expectedIncarnation = incarnation
    }
  }

  // MARK: Many streams

  private func grpc(_ cluster: Cluster, tokens: Int, offered: Double?) async throws -> RouterRow {
    try await RouterClient.with(cluster.routers[0].grpc) { client in
      let meter = Meter(cluster)
      let answers = try await withThrowingTaskGroup(of: ClientAnswer.self) { group in
        for stream in 0..<streams {
          let prompt = Self.prompt(Self.streamPromptLength, seed: UInt64(1_000_000 + stream))
          group.addTask(executorPreference: client.executor) {
            try await client.generate(Self.generate(prompt, tokens: tokens))
          }
        }
        var answers: [ClientAnswer] = []
        for try await answer in group { answers.append(answer) }
        return answers
      }
      guard answers.allSatisfy({ $0.tokens.count == tokens }) else {
        throw ServingError(.internalError, "a stream ended early")
      }
      let first = answers.compactMap(\.arrivals.first).min() ?? 0
      let last = answers.compactMap(\.arrivals.last).max() ?? 0
      let gaps = answers.flatMap { answer in zip(answer.arrivals.dropFirst(), answer.arrivals).map { $0 - $1 } }
      return meter.row(
        "gRPC", streams: streams, tokens: tokens * streams, seconds: last - first, offered: offered,
        tokensPerMessage: Double(tokens * streams) / Double(answers.reduce(0) { $0 + $1.messages }),
        gap: .init(gaps.filter { $0 > 0 }))
    }
  }

  private func http(_ cluster: Cluster, tokens: Int, offered: Double?) async throws -> RouterRow {
    let client = HTTPClient(address: cluster.routers[0].http)
    let meter = Meter(cluster)
    let events = Lock(0)
    let start = ContinuousClock.now
    try await withThrowingTaskGroup(of: Void.self) { group in
      for stream in 0..<streams {
        let prompt = Self.prompt(Self.streamPromptLength, seed: UInt64(2_000_000 + stream))
        group.addTask {
          let ending = Lock("")
          let body = """
            {"model": "paced", "prompt": \(prompt), "max_tokens": \(tokens), "temperature": 0, "stream": true,
             "stream_options": {"include_usage": true}}
            """
          let answer = try await client.post("/v1/completions", json: body) { part in
            // Events end with an empty line, and hold no other line break.
            let breaks = part.readableBytesView.count { $0 == UInt8(ascii: "\n") }
            events.withLock { $0 += breaks / 2 }
            let text = String(decoding: part.readableBytesView.suffix(512), as: UTF8.self)
            ending.withLock { $0 = String(($0 + text).suffix(512)) }
          }
          guard answer.status == 200, ending.withLock({ $0.contains("\"completion_tokens\":\(tokens)") }) else {
            throw ServingError(
              .internalError, "HTTP \(answer.status): \(answer.body.prefix(200)) \(ending.withLock { $0 })")
          }
        }
      }
      try await group.waitForAll()
    }
    let count = tokens * streams
    return meter.row(
      "HTTP", streams: streams, tokens: count, seconds: start.duration(to: .now) / .seconds(1), offered: offered,
      tokensPerMessage: Double(count) / Double(events.withLock { $0 } - 2 * streams), gap: nil)
  }

  /// Processor time from its making on.
  private struct Meter {
    private let cluster: Cluster
    private let router: Double
    private let workers: Double
    private let client: Double

    init(_ cluster: Cluster) {
      self.cluster = cluster
      router = cluster.routers[0].processorSeconds
      workers = cluster.workers.reduce(0) { $0 + $1.processorSeconds }
      client = ProcessAccount.processorSeconds(of: getpid())
    }

    func row(
      _ name: String, streams: Int, tokens: Int, seconds: Double, offered: Double?, tokensPerMessage: Double?,
      gap: ClusterFigures.Spread?
    ) -> RouterRow {
      let now = Meter(cluster)
      func microseconds(_ after: Double, _ before: Double) -> Double { (after - before) / Double(tokens) * 1e6 }
      return RouterRow(
        client: name, streams: streams, tokensPerSecond: Double(tokens) / seconds, offeredTokensPerSecond: offered,
        routerMicrosecondsPerToken: microseconds(now.router, router),
        workerMicrosecondsPerToken: microseconds(now.workers, workers),
        clientMicrosecondsPerToken: microseconds(now.client, client), tokensPerMessage: tokensPerMessage, gap: gap)
    }
  }

  /// The bars.
  func bars(_ result: Result) -> [Bar] {
    let row = result.rows[0]
    return [
      Bar(
        work: "router", figure: "added to the first token's p50", ours: result.latency.addedMicroseconds, baseline: nil,
        .atMost, bar: 600, unit: "µs"),
      Bar(
        work: "router, \(row.streams) streams", figure: "router's processor time a token",
        ours: row.routerMicrosecondsPerToken, baseline: nil, .atMost, bar: 20, unit: "µs"),
      Bar(
        work: "router, \(row.streams) streams", figure: "tokens/s", ours: row.tokensPerSecond, baseline: nil, .atLeast,
        bar: 20_000, unit: "tokens/s"),
    ]
  }
}
