import Engine
import ModelRuntime
import ServingTestKit
import ServingTypes
import Testing

/// What a generation produced.
struct Outcome: Equatable, Sendable {
  var tokens: [[TokenID]]
  var finishes: [FinishReason?]
  var logprobs: [[Float?]]
  var promptLogprobs: [GeneratedToken] = []
  var summary: GenerationSummary?

  init(samples: Int) {
    tokens = [[TokenID]](repeating: [], count: samples)
    finishes = [FinishReason?](repeating: nil, count: samples)
    logprobs = [[Float?]](repeating: [], count: samples)
  }
}

struct Setup {
  /// The executor of a draft model.
  struct Draft {
    var text: SimulatedExecutor.Text
    var blocks = 256
    var blockSize = 16
    var vocabularySize = 64
    var maximumContextLength = 2048
    var spoken: Range<TokenID>?
    var failingStep: Int?

    func executor() throws -> sending SimulatedExecutor {
      try SimulatedExecutor(
        blockCount: blocks, blockSize: blockSize, vocabularySize: vocabularySize,
        maximumContextLength: maximumContextLength, spoken: spoken, text: text, failingStep: failingStep,
        model: "draft")
    }
  }

  var blocks = 256
  var blockSize = 16
  var vocabularySize = 64
  var maximumContextLength = 2048
  var endOfGeneration: [TokenID] = []
  var spoken: Range<TokenID>?
  var text = SimulatedExecutor.Text.random
  var cost = SimulatedExecutor.Cost()
  var failingStep: Int?
  var failingPiece: Int?
  var configuration = EngineConfiguration(targetStepTime: .zero, adaptsDraftLength: false, checkIntegrityOnIdle: true)
  var record = SimulatedExecutor.Record()
  var draft: Draft?

  func executor() throws -> SimulatedExecutor {
    try SimulatedExecutor(
      blockCount: blocks, blockSize: blockSize, vocabularySize: vocabularySize,
      maximumContextLength: maximumContextLength, endOfGenerationTokens: endOfGeneration, spoken: spoken, text: text,
      cost: cost, failingStep: failingStep, record: record)
  }

  func engine(
    start: Bool = true, fileTier: FaultyTier? = nil, clock: ServingClock = .continuous
  ) throws -> EngineCore {
    let engine = try EngineCore(
      executor: SimulatedExecutor(
        blockCount: blocks, blockSize: blockSize, vocabularySize: vocabularySize,
        maximumContextLength: maximumContextLength, endOfGenerationTokens: endOfGeneration, spoken: spoken, text: text,
        cost: cost, failingStep: failingStep, failingPiece: failingPiece, record: record),
      draftExecutor: draft?.executor(),
      configuration: configuration,
      fileTier: fileTier, clock: clock)
    if start { engine.start() }
    return engine
  }

  /// The tokens that a sample must get, by plain decoding over a pool of its own, without engine, scheduler or cache.
  func reference(_ request: EngineRequest, sample: Int = 0, count: Int) throws -> [TokenID] {
    var copy = self
    let given = request.generated.isEmpty ? 0 : request.generated[sample].count
    copy.blocks = (request.prompt.count + given + count) / blockSize + 1
    copy.cost = SimulatedExecutor.Cost()
    copy.failingStep = nil
    copy.record = SimulatedExecutor.Record()
    return try decodePlainly(request, on: copy.executor(), sample: sample, count: count)
  }
}

extension ServingClock {
  /// Goes on by a microsecond whenever it is asked.
  static var ticking: ServingClock {
    let (start, ticks) = (ContinuousClock.now, Lock(0))
    @Sendable func now() -> ContinuousClock.Instant {
      start
        + .microseconds(
          ticks.withLock {
            $0 += 1
            return $0
          })
    }
    return ServingClock(now: { now() }, sleep: { _ in })
  }
}

func collect(_ handle: GenerationHandle, samples: Int = 1) async throws -> Outcome {
  var outcome = Outcome(samples: samples)
  for try await event in handle.events {
    switch event {
    case .tokens(let sample, let tokens, let finish):
      #expect(outcome.finishes[sample] == nil, "tokens after the finish")
      outcome.tokens[sample] += tokens.map(\.id)
      outcome.logprobs[sample] += tokens.map(\.logprob)
      outcome.finishes[sample] = finish
    case .promptLogprobs(let tokens):
      #expect(outcome.promptLogprobs.isEmpty && outcome.tokens.allSatisfy(\.isEmpty), "they come once, and first")
      outcome.promptLogprobs = tokens
    case .finished(let summary):
      #expect(outcome.summary == nil)
      outcome.summary = summary
    }
  }
  #expect(outcome.summary != nil, "the stream ended well without a summary")
  return outcome
}

/// Idle, and every block given back.
func expectClean(_ engine: EngineCore, sourceLocation: SourceLocation = #_sourceLocation) async throws {
  try await engine.checkIntegrity()
  let statistics = engine.statistics
  #expect(statistics.activeBlocks == 0, sourceLocation: sourceLocation)
  #expect(statistics.runningSequences == 0, sourceLocation: sourceLocation)
  #expect(statistics.waitingSequences == 0, sourceLocation: sourceLocation)
  #expect(statistics.failure == nil, sourceLocation: sourceLocation)
}

func prompt(_ length: Int, seed: Int = 1, vocabulary: Int = 64) -> [TokenID] {
  var random = SplitMix64(seed: UInt64(seed))
  return (0..<length).map { _ in TokenID(random.next() % UInt64(vocabulary)) }
}

func greedy(_ maxTokens: Int, n: Int = 1) -> SamplingParameters {
  SamplingParameters(temperature: 0, maxTokens: maxTokens, n: n)
}

func expectError<T>(
  _ code: ServingError.Code, sourceLocation: SourceLocation = #_sourceLocation, _ body: () async throws -> T
) async {
  do {
    _ = try await body()
    Issue.record("no error, expected \(code)", sourceLocation: sourceLocation)
  } catch let error as ServingError {
    #expect(error.code == code, "\(error)", sourceLocation: sourceLocation)
  } catch {
    Issue.record("\(error)", sourceLocation: sourceLocation)
  }
}

/// A sample's next tokens, computed one at a time over the executor's whole pool, without engine, scheduler or cache.
func decodePlainly(
  _ request: EngineRequest, on executor: any ModelExecutor, sample: Int, count: Int
) throws -> [TokenID] {
  let given = request.generated.isEmpty ? [] : request.generated[sample]
  var sampler = Sampler(
    vocabularySize: executor.vocabularySize, endOfGenerationTokens: executor.endOfGenerationTokens)
  var counts = TokenCounts(prompt: request.prompt, output: given, parameters: request.sampling)
  let blocks = (0..<BlockID(executor.memory.blockCount)).map { $0 }
  var (tokens, output, computed) = (request.prompt + given, [TokenID](), 0)
  while output.count < count {
    var batch = ForwardBatch()
    batch.append(tokens: tokens[computed...], startPosition: computed, blocks: blocks, logitCount: 1)
    computed = tokens.count
    let token = try sampler.sample(
      logits: executor.forward(batch), parameters: request.sampling, sampleIndex: sample, position: tokens.count,
      context: counts)
    counts.append(token.id)
    tokens.append(token.id)
    output.append(token.id)
  }
  return output
}

/// Turns an engine by hand for as long as it finds something to compute.
func turn(_ engine: EngineCore, sourceLocation: SourceLocation = #_sourceLocation) {
  for _ in 0..<100_000 where engine.turn() != .worked { return }
  Issue.record("the engine does not come to an end", sourceLocation: sourceLocation)
}

/// Returns once the engine's statistics are so; it does not depend on how soon.
func wait(
  for engine: EngineCore, until what: String, sourceLocation: SourceLocation = #_sourceLocation,
  _ condition: (EngineStatistics) -> Bool
) async throws {
  for _ in 0..<120_000 {
    if condition(engine.statistics) { return }
    try await Task.sleep(for: .milliseconds(1))
  }
  Issue.record("not yet, after two minutes and more: \(what)", sourceLocation: sourceLocation)
}
