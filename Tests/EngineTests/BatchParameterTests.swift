import Engine
import ServingTestKit
import ServingTypes
import Testing

/// That the scheduler's parameters reach it: what an engine's steps hold, as docs/tuning.md says. Engines that are turned by hand.
@Suite struct BatchParameterTests {
  private typealias Part = NotingExecutor.Part

  /// The steps in which an engine computes requests that all wait when it begins.
  private func steps(
    of requests: [EngineRequest], _ change: (inout Setup) -> Void
  ) async throws -> [[Part]] {
    var setup = Setup()
    setup.configuration.enableSpecDecode = false
    setup.configuration.maxNumSeqs = 16
    change(&setup)
    let notes = NotingExecutor.Notes()
    let engine = try setup.engine(notes: notes)
    let handles = try requests.map { try engine.generate($0) }
    turn(engine)
    for (request, handle) in zip(requests, handles) {
      let count = request.sampling.maxTokens ?? 0
      #expect(try await collect(handle).tokens[0] == (try setup.reference(request, count: count)))
    }
    #expect(engine.statistics.activeBlocks == 0)
    return notes.steps
  }

  private func requests(_ count: Int, prompt length: Int, output: Int) -> [EngineRequest] {
    (0..<count).map { EngineRequest(prompt: prompt(length, seed: $0), sampling: greedy(output)) }
  }

  private func counts(_ step: [Part]) -> [Int] { step.map(\.tokens.count) }

  private func tokens(_ step: [Part]) -> Int { step.reduce(0) { $0 + $1.tokens.count } }

  @Test(arguments: [1, 3, 8]) func maxNumSeqs(limit: Int) async throws {
    let steps = try await steps(of: requests(10, prompt: 20, output: 5)) { $0.configuration.maxNumSeqs = limit }
    #expect(steps.map(\.count).max() == limit)
  }

  @Test(arguments: [7, 40, 100]) func maxNumBatchedTokens(limit: Int) async throws {
    let steps = try await steps(of: requests(10, prompt: 50, output: 5)) {
      $0.configuration.maxNumBatchedTokens = limit
    }
    #expect(steps.map(tokens).max() == limit)
  }

  @Test(arguments: [16, 64]) func maxPrefillTokens(limit: Int) async throws {
    let steps = try await steps(of: requests(10, prompt: 50, output: 5)) { $0.configuration.maxPrefillTokens = limit }
    // What follows the prompt counts apart.
    #expect(steps.map { tokens($0.filter { $0.start < 50 }) }.max() == limit)
    #expect((steps.map(tokens).max() ?? 0) > limit)
  }

  @Test(arguments: [(16, 7), (48, 3), (1024, 1)]) func prefillChunkSize(size: Int, count: Int) async throws {
    let steps = try await steps(of: requests(2, prompt: 100, output: 1)) { $0.configuration.prefillChunkSize = size }
    #expect(steps.first.map(counts) == [min(size, 100), min(size, 100)])
    #expect(steps.count == count)
  }

  @Test(arguments: [true, false]) func enableChunkedPrefill(isChunked: Bool) async throws {
    let steps = try await steps(of: requests(1, prompt: 200, output: 1)) {
      $0.configuration.enableChunkedPrefill = isChunked
      $0.configuration.maxNumBatchedTokens = 216
      $0.configuration.prefillChunkSize = 64
    }
    #expect(steps.map(tokens) == (isChunked ? [64, 64, 64, 8] : [200]))
  }

  /// Only what is handed over goes in these chunks.
  @Test(arguments: [16, 64]) func handoffChunkSize(size: Int) throws {
    var setup = Setup()
    setup.configuration.handoffChunkSize = size
    let notes = NotingExecutor.Notes()
    let engine = try setup.engine(notes: notes)
    let requests = requests(2, prompt: 200, output: 1)
    let lent = try engine.prefill(requests[0], heldBlocks: 0)
    let own = try engine.generate(requests[1])
    turn(engine)
    withExtendedLifetime((lent, own)) {}
    #expect(engine.statistics.requestsFinished == 2)
    #expect(notes.steps.first.map(counts) == [size, 200])
    #expect(notes.stepTokens.dropFirst().allSatisfy { $0 <= size })
  }

  /// With nobody waiting for a token a chunk takes four times as long.
  @Test(arguments: [5, 20, 80]) func targetStepTime(milliseconds: Int) async throws {
    let steps = try await steps(of: requests(1, prompt: 1_500, output: 1)) {
      $0.configuration.targetStepTime = .milliseconds(milliseconds)
      $0.cost = SimulatedExecutor.Cost(token: .milliseconds(1))
    }
    // The first one comes before anything was measured, the last one has what is left.
    let chunks = steps.map(tokens).dropFirst().dropLast()
    #expect(!chunks.isEmpty && chunks.allSatisfy { (3 * milliseconds...4 * milliseconds).contains($0) }, "\(chunks)")
  }

  @Test(arguments: BatchSchedulerPolicy.allCases) func batchSchedulerPolicy(policy: BatchSchedulerPolicy) async throws {
    let requests = requests(4, prompt: 20, output: 2)
    let steps = try await steps(of: requests) {
      $0.configuration.batchSchedulerPolicy = policy
      $0.configuration.maxNumSeqs = 1
    }
    let order = steps.compactMap { step in step.first.flatMap { $0.start == 0 ? $0.tokens : nil } }
    let arrivals = requests.map(\.prompt)
    #expect(order == (policy == .fifo ? arrivals : arrivals.reversed()))
  }

  /// On a thread of its own: nine intervals lie between the starts of ten steps, however fast the machine is.
  @Test func schedulingInterval() async throws {
    var setup = Setup()
    setup.configuration.enableSpecDecode = false
    setup.configuration.schedulingInterval = .milliseconds(20)
    let engine = try setup.engine()
    let start = ContinuousClock.now
    let request = EngineRequest(prompt: prompt(20), sampling: greedy(10))
    #expect(try await collect(engine.generate(request)).tokens[0] == (try setup.reference(request, count: 10)))
    #expect(setup.record.counts.steps == 10)
    // A sleep is cut to whole nanoseconds.
    #expect(ContinuousClock.now - start >= .milliseconds(9 * 20) - .microseconds(1))
    await engine.stop()
  }

  @Test func maxModelLen() async throws {
    var setup = Setup()
    setup.configuration.maxModelLen = 64
    let engine = try setup.engine()
    #expect(engine.maximumContextLength == 64)
    for length in [1, 40, 63] {
      let request = EngineRequest(prompt: prompt(length), sampling: SamplingParameters(temperature: 0))
      let outcome = try await collect(engine.generate(request))
      #expect(outcome.tokens[0] == (try setup.reference(request, count: 64 - length)))
      #expect(outcome.finishes == [.length])
    }
    await expectError(.invalidArgument) { try engine.generate(EngineRequest(prompt: prompt(64))) }
    await expectError(.invalidArgument) { try engine.prefill(EngineRequest(prompt: prompt(64)), heldBlocks: 0) }
    await engine.stop()
    // It makes no model's context longer.
    setup.configuration.maxModelLen = 5_000
    #expect(try setup.engine(start: false).maximumContextLength == 2048)
  }
}
