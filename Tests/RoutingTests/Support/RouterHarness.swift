import Directory
import Logging
import Observability
import RPC
import Routing
import ServingTypes
import Testing

/// A router and its workers, all over real sockets.
struct RouterHarness {
  let router: RequestRouter
  let directory: GatedDirectory
  let metrics: MetricsRegistry
  private let turn = Lock(0)

  private init(router: RequestRouter, directory: GatedDirectory, metrics: MetricsRegistry) {
    self.router = router
    self.directory = directory
    self.metrics = metrics
  }

  /// An answer, put together again.
  struct Answer {
    var tokens: [[TokenID]]
    var texts: [String]
    var finishes: [FinishReason?]
    var promptLogprobs: [GeneratedToken] = []
    var usage: GenerationUsage?
    var route: GenerationRoute?
    var updates = 0

    init(samples: Int) {
      tokens = Array(repeating: [], count: samples)
      texts = Array(repeating: "", count: samples)
      finishes = Array(repeating: nil, count: samples)
    }

    mutating func take(_ update: GenerationUpdate) {
      updates += 1
      #expect(update.promptLogprobs.isEmpty || tokens.allSatisfy(\.isEmpty), "the prompt comes first")
      promptLogprobs += update.promptLogprobs
      for output in update.outputs {
        #expect(finishes[output.sample] == nil, "nothing comes after a sample's end")
        tokens[output.sample] += output.tokens.map(\.id)
        texts[output.sample] += output.text
        finishes[output.sample] = output.finish
      }
      usage = update.usage ?? usage
      route = update.route ?? route
    }
  }

  static func with(
    _ workers: [ScriptedWorker], static isStatic: Bool = false,
    configuration: RoutingConfiguration = .testing(),
    body: (RouterHarness) async throws -> Void
  ) async throws {
    let directory = GatedDirectory()
    if !isStatic {
      for worker in workers { _ = try await directory.renewLease(worker.record, lifetime: .seconds(3600)) }
    }
    let metrics = MetricsRegistry()
    let channels = try ChannelPool()
    let model = ServedModel(name: "bytes", tokenizer: ByteTokenizer(), chatTemplate: nil, contextLength: 4096)
    let router = RequestRouter(
      models: [model], directory: isStatic ? nil : directory,
      staticWorkers: isStatic ? try workers.map { try ServerAddress($0.address) } : [], channels: channels,
      configuration: configuration, metrics: metrics,
      logger: Logger(label: "router") { _ in SwiftLogNoOpLogHandler() })
    try await withThrowingTaskGroup(of: Void.self) { group in
      for worker in workers { group.addTask { await worker.run() } }
      group.addTask { await router.run() }
      await eventually("no workers") {
        workers.isEmpty ? router.registry.isReady : router.workers.count == workers.count
      }
      let result: Result<Void, any Error>
      do {
        try await body(RouterHarness(router: router, directory: directory, metrics: metrics))
        result = .success(())
      } catch { result = .failure(error) }
      await eventually("requests are still under way") { router.inFlight == 0 }
      group.cancelAll()
      try result.get()
    }
    channels.close()
  }

  func request(
    _ text: String = "Once upon a time there was a router that sent each request where its prefix lay.", n: Int = 1,
    maxTokens: Int = 12, seed: UInt64 = 7
  ) -> GenerationRequest {
    GenerationRequest(
      prompt: .text(text), sampling: SamplingParameters(seed: seed, maxTokens: maxTokens, n: n))
  }

  /// Runs a request to its end: by turns as a sequence, as HTTP's handlers do, and in the caller's task, as gRPC's do, which may
  /// take updates where they arrive: none, all but the first, or some.
  func answer(_ request: GenerationRequest) async throws -> Answer {
    let turn = turn.withLock { turn in
      turn += 1
      return turn % 4
    }
    let answer = Lock(Answer(samples: request.sampling.n))
    if turn == 0 {
      for try await update in try await router.generate(request).updates { answer.withLock { $0.take(update) } }
    } else {
      try await router.generate(request) { update, head in
        answer.withLock { answer in
          #expect((head == nil) == (answer.updates > 0), "the head comes with the first update")
          answer.take(update)
        }
      } deliverNow: { update in
        answer.withLock { answer in
          #expect(answer.updates > 0, "the first update comes with its head")
          guard turn == 2 || turn == 3 && answer.updates.isMultiple(of: 3) else { return false }
          answer.take(update)
          return true
        }
      }
    }
    return answer.withLock { $0 }
  }

  /// Whether the answer is what an undisturbed worker would have given.
  func check(_ answer: Answer, _ request: GenerationRequest, sourceLocation: SourceLocation = #_sourceLocation) throws {
    guard case .text(let text) = request.prompt else { return }
    let prompt = ByteTokenizer().encode(text, parseSpecial: true, addSpecial: true)
    for sample in 0..<request.sampling.n {
      let expected = ScriptedWorker.answer(
        prompt: prompt, sample: sample, seed: try #require(request.sampling.seed),
        count: max(1, try #require(request.sampling.maxTokens) - sample))
      #expect(answer.tokens[sample] == expected, sourceLocation: sourceLocation)
      #expect(answer.texts[sample] == ScriptedWorker.text(expected), sourceLocation: sourceLocation)
      #expect(answer.finishes[sample] == .length, sourceLocation: sourceLocation)
    }
    let wanted = request.sampling.promptLogprobs == nil ? [] : ScriptedWorker.promptLogprobs(prompt)
    #expect(answer.promptLogprobs == wanted, sourceLocation: sourceLocation)
    #expect(answer.usage?.promptTokens == prompt.count, sourceLocation: sourceLocation)
    #expect(
      answer.usage?.completionTokens == answer.tokens.reduce(0) { $0 + $1.count }, sourceLocation: sourceLocation)
  }
}

extension RoutingConfiguration {
  /// Short pauses and long waits, with what the test changes.
  static func testing(_ change: (inout RoutingConfiguration) -> Void = { _ in }) -> RoutingConfiguration {
    var configuration = RoutingConfiguration()
    configuration.refreshInterval = .milliseconds(20)
    configuration.reopenDelay = .milliseconds(1)
    configuration.migrationWait = .seconds(60)
    // A machine with much to do is no dead worker.
    configuration.streamStallTimeout = .seconds(60)
    change(&configuration)
    return configuration
  }
}
