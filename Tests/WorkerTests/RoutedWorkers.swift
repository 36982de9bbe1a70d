import DecodeServer
import Directory
import Observability
import RPC
import Routing
import ServingTypes
import Testing

/// A router before real workers, with every process' part over real gRPC.
struct RoutedWorkers {
  let router: RequestRouter
  let workers: [TestWorker]
  let directory: InMemoryDirectory
  let channels: ChannelPool
  let metrics: MetricsRegistry

  /// What a client got.
  struct Answer: Sendable, Equatable {
    var tokens: [[TokenID]]
    var logprobs: [[Float?]]
    var tops: [[[TokenLogprob]]]
    var texts: [String]
    var finishes: [FinishReason?]
    var completionTokens = 0
    var migrations = 0
    /// Where it was made, and how long each part took; nil until its end.
    var route: GenerationRoute?
    var timeline: GenerationTimeline?

    /// The same output, wherever it was made.
    func agrees(with other: Answer) -> Bool {
      tokens == other.tokens && logprobs == other.logprobs && tops == other.tops && texts == other.texts
        && finishes == other.finishes && completionTokens == other.completionTokens
    }
  }

  /// - Parameter limit: connections from the router to the first decode worker are cut after so many bytes of answers, to the
  ///   second after twice as many, and so on: a message that fits into none of the first one's still arrives. Nil: none is cut.
  static func with(
    _ options: [WorkerOptions], cuttingAfter limit: Int? = nil, configuration: RoutingConfiguration = .quick,
    _ body: @escaping @Sendable (RoutedWorkers) async throws -> Void
  ) async throws {
    let (channels, directory, metrics) = (try ChannelPool(), InMemoryDirectory(), MetricsRegistry())
    // Behind a proxy a worker can't announce itself: the test does it, for good.
    let workers = try options.enumerated().map {
      try $1.makeWorker($0, channels: channels, directory: limit == nil ? directory : nil)
    }
    var proxies: [CuttingProxy] = []
    if let limit {
      for worker in workers {
        var record = worker.record(role: worker.server.configuration.role)
        if worker.server.configuration.role.servesDecode {
          let port = try ServerAddress(worker.server.boundAddress).port ?? 0
          proxies.append(try CuttingProxy(to: port, cuttingAfter: limit * (proxies.count + 1)))
          record.reference.address = "127.0.0.1:\(proxies[proxies.count - 1].port)"
        }
        _ = try await directory.renewLease(record, lifetime: .seconds(3600))
      }
    }
    let model = ServedModel(
      name: "simulated", tokenizer: PlainTokenizer(), chatTemplate: nil,
      contextLength: workers[0].engine.maximumContextLength)
    let router = RequestRouter(
      models: [model], directory: directory, channels: channels, configuration: configuration, metrics: metrics)
    let routed = RoutedWorkers(
      router: router, workers: workers, directory: directory, channels: channels, metrics: metrics)
    try await withThrowingTaskGroup(of: Void.self) { group in
      for worker in workers { group.addTask { try await worker.server.run() } }
      group.addTask { await router.run() }
      for _ in 0..<12_000 where router.workers.filter({ !$0.record.isDraining }).count < workers.count {
        try await Task.sleep(for: .milliseconds(5))
      }
      try await body(routed)
      for worker in workers {
        // The engine of one that left has stopped, and proved its books when it became idle.
        if worker.server.unreadyReason == "draining" {
          #expect(worker.engine.statistics.failure == nil && worker.engine.statistics.activeBlocks == 0)
        } else {
          try await worker.expectIdle()
        }
      }
      group.cancelAll()
      while let ended = await group.nextResult() {
        if case .failure(let error) = ended, !(error is CancellationError) { throw error }
      }
    }
    withExtendedLifetime(proxies) {}
    channels.close()
  }

  /// - Parameter onTokens: called with the tokens so far, of all samples.
  func answer(
    _ request: GenerationRequest, onTokens: (Int) async throws -> Void = { _ in }
  ) async throws -> Answer {
    let generation = try await router.generate(request)
    let n = request.sampling.n
    var answer = Answer(
      tokens: Array(repeating: [], count: n), logprobs: Array(repeating: [], count: n),
      tops: Array(repeating: [], count: n), texts: Array(repeating: "", count: n),
      finishes: Array(repeating: nil, count: n))
    for try await update in generation.updates {
      for output in update.outputs {
        #expect(answer.finishes[output.sample] == nil, "nothing comes after a sample's end")
        answer.tokens[output.sample] += output.tokens.map(\.id)
        answer.logprobs[output.sample] += output.tokens.map(\.logprob)
        answer.tops[output.sample] += output.tokens.map(\.top)
        answer.texts[output.sample] += output.text
        answer.finishes[output.sample] = output.finish
      }
      answer.completionTokens = update.usage?.completionTokens ?? answer.completionTokens
      answer.migrations = update.route?.migrations ?? answer.migrations
      answer.route = update.route ?? answer.route
      answer.timeline = update.timeline ?? answer.timeline
      try await onTokens(answer.tokens.reduce(0) { $0 + $1.count })
    }
    return answer
  }

  /// Leading blocks of a prompt that the directory knows a worker to hold.
  func announcedBlocks(of tokens: [TokenID], _ worker: TestWorker) async throws -> Int {
    let id = worker.server.reference.id
    guard let record = try await directory.workers().first(where: { $0.id == id }) else { return 0 }
    let query = PrefixQuery(
      layoutDigest: record.layoutDigest,
      hashes: BlockHash.chain(tokens: tokens, blockSize: record.blockSize, salt: ""),
      holders: [
        PrefixQuery.Holder(worker: id, incarnation: record.reference.incarnation, epoch: record.epoch)
      ])
    return try await directory.longestPrefixes(query)[id]?.blocks ?? 0
  }
}

extension TestWorker {
  /// As its lease would say.
  fileprivate func record(role: WorkerRole) -> WorkerRecord {
    WorkerRecord(
      reference: server.reference, role: role, model: "simulated", layoutDigest: engine.layout.digest,
      blockSize: engine.layout.blockSize, blockCount: engine.blockCount,
      maximumModelLength: engine.maximumContextLength)
  }
}

extension RoutingConfiguration {
  /// Short pauses, and as many tries as it takes.
  static var quick: RoutingConfiguration {
    var configuration = RoutingConfiguration()
    configuration.refreshInterval = .milliseconds(20)
    configuration.reopenDelay = .milliseconds(1)
    configuration.migrationWait = .seconds(60)
    configuration.maximumReopenings = 1000
    // A machine with much to do is no dead worker.
    configuration.streamStallTimeout = .seconds(60)
    return configuration
  }
}
