import Engine
import ModelRuntime
import ServingTestKit
import ServingTypes
import Testing

/// What the type of stored keys and values changes, and that it changes nothing else: real attention over a tiny model.
@Suite struct KVDTypeTests {
  private static let configuration = EngineConfiguration(
    prefillChunkSize: 48, handoffChunkSize: 32, targetStepTime: .zero, adaptsDraftLength: false,
    checkIntegrityOnIdle: true)

  private static func weights(_ architecture: ModelArchitecture = .llama) throws -> ModelWeights {
    try ModelWeights(file: TinyModel(architecture).file(), threads: 2)
  }

  /// What the pool takes, and with it what host memory holds.
  @Test func bytesOfThePool() async throws {
    let weights = try Self.weights()
    var (bytes, hostBlocks) = ([KVDType: Int](), [KVDType: Int]())
    for dtype in KVDType.allCases {
      let memory = try weights.executor(dtype: dtype).memory
      bytes[dtype] = (0..<memory.blockCount).reduce(0) { $0 + memory.bytes(of: BlockID($1)).count }
      var configuration = Self.configuration
      configuration.swapSpace = 32 << 20
      let engine = try weights.engine(dtype: dtype, configuration)
      #expect(bytes[dtype] == 64 * engine.layout.blockBytes())
      hostBlocks[dtype] = engine.statistics.tiers.hostCapacity
      await engine.stop()
    }
    let half = try #require(bytes[.f16])
    #expect(bytes[.f32] == 2 * half && bytes[.bf16] == half)
    for dtype in [KVDType.fp8, .int8] {
      #expect(Double(bytes[dtype] ?? 0) / Double(half) <= 0.54)
      #expect(Double(hostBlocks[dtype] ?? 0) >= 1.85 * Double(hostBlocks[.f16] ?? 0))
    }
  }

  /// Each type rounds otherwise, so that an engine that ignored it would be found out; none rounds much.
  @Test func theyRoundDifferently() async throws {
    let weights = try Self.weights()
    var all: [KVDType: [Float]] = [:]
    for dtype in KVDType.allCases {
      let engine = try weights.engine(dtype: dtype, Self.configuration)
      var sampling = greedy(1)
      sampling.logprobs = 20
      let handle = try engine.generate(EngineRequest(prompt: TinyModel.prompt(90, seed: 3), sampling: sampling))
      for try await event in handle.events {
        guard case .tokens(_, let tokens, _) = event else { continue }
        all[dtype] = tokens.flatMap { $0.top.sorted { $0.token < $1.token }.map(\.logprob) }
      }
      #expect(all[dtype]?.count == 20)
      await engine.stop()
    }
    #expect(Set(all.values).count == KVDType.allCases.count)
  }

  /// Samples of one prompt, whose unfinished block each first write but the last copies: as separate requests would get them.
  @Test(arguments: KVDType.allCases, [40, 48]) func samplesEqualSeparateRequests(dtype: KVDType, length: Int)
    async throws
  {
    let weights = try Self.weights()
    let engine = try weights.engine(dtype: dtype, Self.configuration)
    var request = EngineRequest(
      prompt: TinyModel.prompt(length, seed: 5),
      sampling: SamplingParameters(temperature: 3, seed: 5, maxTokens: 24, ignoreEOS: true, n: 4))
    let outcome = try await collect(engine.generate(request), samples: 4)
    for sample in 0..<4 {
      #expect(
        outcome.tokens[sample] == (try weights.reference(request, dtype: dtype, sample: sample)), "sample \(sample)")
    }
    #expect(Set(outcome.tokens).count == 4)
    #expect(engine.statistics.copyOnWriteCopies == (length % 16 == 0 ? 0 : 3))
    request.sampling.n = 1
    request.cacheSalt = "alone"
    #expect(try await collect(engine.generate(request)).tokens == [outcome.tokens[0]])
    try await expectClean(engine)
    await engine.stop()
  }

  /// The same tokens from two engines, one of which computes the prompt, as from one.
  @Test(arguments: KVDType.allCases, [ModelArchitecture.llama, .gemma3]) func handedOver(
    dtype: KVDType, architecture: ModelArchitecture
  ) async throws {
    let weights = try Self.weights(architecture)
    let requests = [90, 96, 17].map { length in
      EngineRequest(
        prompt: TinyModel.prompt(length, seed: UInt64(length)),
        sampling: SamplingParameters(
          temperature: length == 96 ? 0.9 : 0, seed: 5, maxTokens: 24, ignoreEOS: true, n: length == 17 ? 2 : 1))
    }
    let plain = try weights.engine(dtype: dtype, Self.configuration)
    let handoff = Handoff(
      prefill: try weights.engine(dtype: dtype, Self.configuration),
      decode: try weights.engine(dtype: dtype, Self.configuration))
    for request in requests {
      let expected = try await collect(plain.generate(request), samples: request.sampling.n)
      let outcome = try await handoff.run(request)
      #expect(outcome.tokens == expected.tokens)
      #expect(outcome.summary?.computedTokens == 0)
    }
    #expect(handoff.decode.statistics.blocksReceived == 6 + 6 + 2)
    #expect(handoff.prefill.statistics.blocksSent == 6 + 6 + 2)
    for engine in [plain, handoff.prefill, handoff.decode] {
      await engine.drain()
      try await expectClean(engine)
      await engine.stop()
    }
  }
}
