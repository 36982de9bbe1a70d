import Engine
import ServingTestKit
import ServingTypes
import Testing

/// Long prompts whose chunks go through the model in slices, beside others; engines that are turned by hand, a few slices a turn.
@Suite struct SliceTests {
  private static let setup: Setup = {
    var setup = Setup()
    setup.configuration.targetStepTime = .milliseconds(50)
    // A step has so little for prompts that long ones go in slices.
    setup.configuration.maxPrefillTokens = 8
    setup.configuration.enableSpecDecode = false
    return setup
  }()

  private func request(_ length: Int, _ output: Int, seed: Int, n: Int = 1, priority: Int = 0) -> EngineRequest {
    EngineRequest(
      prompt: prompt(length, seed: seed),
      sampling: SamplingParameters(temperature: n == 1 ? 0 : 1, seed: 5, maxTokens: output, n: n), priority: priority)
  }

  private func turn(_ engine: EngineCore, times: Int = .max) {
    var left = times
    while left > 0, engine.turn() == .worked { left -= 1 }
  }

  private func expectRight(_ handle: GenerationHandle, _ request: EngineRequest, _ setup: Setup) async throws {
    let outcome = try await collect(handle, samples: request.sampling.n)
    for sample in 0..<request.sampling.n {
      let expected = try setup.reference(request, sample: sample, count: request.sampling.maxTokens ?? 0)
      #expect(outcome.tokens[sample] == expected)
    }
  }

  @Test(arguments: [1, 3], [true, false]) func sameTokens(samples: Int, isCaching: Bool) async throws {
    var setup = Self.setup
    setup.record = .init()
    setup.configuration.enablePrefixCaching = isCaching
    let engine = try setup.engine(start: false, clock: .ticking)
    let stream = request(20, 150, seed: 1)
    let longs = [request(1300, 12, seed: 2, n: samples), request(513, 12, seed: 3), request(300, 1, seed: 4)]
    let streamHandle = try engine.generate(stream)
    turn(engine, times: 20)
    let handles = try longs.map { try engine.generate($0) }
    turn(engine)
    try await expectRight(streamHandle, stream, setup)
    for (handle, long) in zip(handles, longs) { try await expectRight(handle, long, setup) }
    #expect(setup.record.counts.piecewisePasses >= 4)
    #expect(setup.record.counts.largestSegment <= 128)
    // What was computed in slices is found again.
    let again = try engine.generate(longs[1])
    turn(engine)
    try await expectRight(again, longs[1], setup)
    try expectIdle(engine)
  }

  private func expectIdle(_ engine: EngineCore) throws {
    #expect(engine.turn() == .idle)
    #expect(engine.statistics.activeBlocks == 0 && engine.statistics.failure == nil)
  }

  /// Whenever the prompt is cancelled, its blocks go to others at once.
  @Test(arguments: 0..<24) func cancelled(turns: Int) async throws {
    var setup = Self.setup
    setup.record = .init()
    setup.blocks = 50
    let engine = try setup.engine(start: false, clock: .ticking)
    let stream = request(20, 100, seed: 1)
    let streamHandle = try engine.generate(stream)
    turn(engine, times: 20)
    let given = try engine.generate(request(600, 5, seed: 2))
    turn(engine, times: turns)
    given.cancel()
    let others = [request(400, 8, seed: 3), request(100, 8, seed: 4)]
    let handles = try others.map { try engine.generate($0) }
    turn(engine)
    try await expectRight(streamHandle, stream, setup)
    for (handle, other) in zip(handles, others) { try await expectRight(handle, other, setup) }
    await expectError(.cancelled) { try await collect(given) }
    #expect(setup.record.counts.pieces > 0)
    try expectIdle(engine)
  }

  /// Whenever its blocks are taken, the prompt is computed again.
  @Test(arguments: 0..<24) func preempted(turns: Int) async throws {
    var setup = Self.setup
    setup.blocks = 40
    let engine = try setup.engine(start: false, clock: .ticking)
    // They grow until the long prompt has to go, and end before it comes back.
    let streams = [request(20, 120 + 2 * turns, seed: 1), request(40, 130 + 2 * turns, seed: 2)]
    let streamHandles = try streams.map { try engine.generate($0) }
    turn(engine, times: 90 + turns)
    let long = request(420, 5, seed: 3)
    let handle = try engine.generate(long)
    turn(engine, times: 4)
    let urgent = request(150, 90, seed: 4, priority: 1)
    let urgentHandle = try engine.generate(urgent)
    turn(engine)
    for (handle, stream) in zip(streamHandles, streams) { try await expectRight(handle, stream, setup) }
    try await expectRight(urgentHandle, urgent, setup)
    try await expectRight(handle, long, setup)
    try expectIdle(engine)
  }

  /// A slice that fails fails its own request alone.
  @Test(arguments: [0, 1, 15, 31]) func failing(piece: Int) async throws {
    var setup = Self.setup
    setup.failingPiece = piece
    let engine = try setup.engine(start: false, clock: .ticking)
    let stream = request(20, 100, seed: 1)
    let streamHandle = try engine.generate(stream)
    turn(engine, times: 20)
    let long = request(700, 5, seed: 2)
    let failing = try engine.generate(long)
    turn(engine)
    try await expectRight(streamHandle, stream, setup)
    await expectError(.internalError) { try await collect(failing) }
    let again = try engine.generate(long)
    turn(engine)
    try await expectRight(again, long, setup)
    try expectIdle(engine)
  }

  /// When those end for whose sake it is sliced, the chunk is computed to its end.
  @Test func streamsThatEnd() async throws {
    var setup = Self.setup
    setup.record = .init()
    let engine = try setup.engine(start: false, clock: .ticking)
    let (stream, long) = (request(20, 40, seed: 1), request(600, 5, seed: 2))
    let streamHandle = try engine.generate(stream)
    turn(engine, times: 20)
    let handle = try engine.generate(long)
    turn(engine, times: 3)
    streamHandle.cancel()
    turn(engine)
    try await expectRight(handle, long, setup)
    #expect(setup.record.counts.piecewisePasses == 1)
    await expectError(.cancelled) { try await collect(streamHandle) }
    try expectIdle(engine)
  }
}
