import ModelRuntime
import ServingTestKit
import ServingTypes
import Testing

/// What a model file may get wrong, and what an executor refuses.
struct ModelWeightsTests {
  static func load(_ change: (inout TinyModel) -> Void) throws -> ModelWeights {
    var model = TinyModel(.qwen2)
    change(&model)
    return try ModelWeights(file: model.file(), threads: 1)
  }

  /// The message of the error that loading gives.
  static func failure(_ change: (inout TinyModel) -> Void) -> ServingError? {
    do {
      _ = try load(change)
      return nil
    } catch {
      return error as? ServingError
    }
  }

  @Test(arguments: ["blk.1.attn_k.weight", "blk.2.attn_q.bias", "output_norm.weight", "token_embd.weight"])
  func missingTensor(name: String) throws {
    let error = try #require(Self.failure { $0.change = { $0 == name ? nil : $1 } })
    #expect(error.code == .dataLoss)
    #expect(error.message.contains(name) && error.message.contains("missing"), "\(error)")
  }

  @Test(arguments: ["blk.0.attn_q.weight", "blk.1.ffn_down.weight", "blk.2.ffn_norm.weight", "output.weight"])
  func wrongShape(name: String) throws {
    let error = try #require(Self.failure { $0.change = { $0 == name ? [$1[0] * 2] + $1.dropFirst() : $1 } })
    #expect(error.code == .dataLoss)
    #expect(error.message.contains(name) && error.message.contains("expected"), "\(error)")
  }

  @Test func aTiedOutputIsTheEmbedding() throws {
    let weights = try Self.load { $0.change = { $0 == "output.weight" ? nil : $1 } }
    #expect(weights.configuration.vocabularySize == TinyModel.vocabulary)
  }

  @Test(arguments: [
    ("general.architecture", GGUFWriter.Value.string("mamba")), ("qwen2.block_count", .uint32(0)),
    ("qwen2.block_count", .string("three")), ("qwen2.embedding_length", .uint32(250)),
    ("qwen2.attention.head_count_kv", .uint32(3)), ("qwen2.attention.key_length", .uint32(512)),
    ("qwen2.attention.value_length", .uint32(32)), ("qwen2.rope.dimension_count", .uint32(32)),
    ("qwen2.attention.layer_norm_rms_epsilon", .float32(-1)), ("qwen2.rope.freq_base", .float32(.nan)),
    ("qwen2.rope.scaling.type", .string("yarn")), ("qwen2.expert_count", .uint32(8)),
    ("tokenizer.ggml.eos_token_id", .uint32(100_000)), ("tokenizer.ggml.tokens", .strings(["a", "b"])),
    ("qwen2.context_length", .uint64(1 << 40)),
  ])
  func badMetadata(key: String, value: GGUFWriter.Value) throws {
    let error = try #require(Self.failure { $0.metadata[key] = value })
    // A head size of 512 is refused under the key that gives it; the others under their own.
    #expect(error.message.contains(key), "\(error)")
  }

  @Test(arguments: ["qwen2.block_count", "qwen2.context_length", "qwen2.attention.layer_norm_rms_epsilon"])
  func missingMetadata(key: String) throws {
    let error = try #require(Self.failure { $0.metadata[key] = .some(nil) })
    #expect(error.message.contains(key) && error.message.contains("missing"), "\(error)")
  }

  @Test func gemmaLayers() throws {
    let model = try ModelConfiguration(TinyModel(.gemma3).file())
    #expect((0..<3).map { model.window(layer: $0) } == [40, nil, 40])
    #expect(model.embeddingScale == 16)
    #expect(model.localRopeBase == 10_000)
    #expect(model.endOfGenerationTokens == [2])
  }

  @Test func executorsRefuseWhatTheyCannotDo() throws {
    let weights = try Self.load { _ in }
    func refusal(_ configuration: CPUModelExecutor.Configuration) -> ServingError.Code? {
      do {
        _ = try CPUModelExecutor(weights: weights, configuration: configuration)
        return nil
      } catch { return error.code }
    }
    #expect(refusal(.init(blockSize: 4, blockCount: 4, threads: 1)) == .invalidArgument)
    #expect(refusal(.init(blockCount: 0, threads: 1)) == .invalidArgument)
    #expect(refusal(.init(blockCount: 4, threads: 0)) == .invalidArgument)
    #expect(refusal(.init(blockCount: 4, threads: 1, maximumContextLength: 4_096)) == .invalidArgument)
    for dtype in KVDType.allCases { #expect(refusal(.init(blockCount: 4, kvDType: dtype, threads: 1)) == nil) }
  }

  @Test func requestsThatAreNotPossible() throws {
    let weights = try Self.load { _ in }
    let executor = try CPUModelExecutor(
      weights: weights, configuration: .init(blockCount: 8, threads: 1, maximumContextLength: 100))
    func code(_ tokens: [TokenID], at start: Int = 0) -> ServingError.Code? {
      var batch = ForwardBatch()
      batch.append(tokens: tokens, startPosition: start, blocks: (0..<8).map(BlockID.init), logitCount: 1)
      do {
        _ = try executor.forward(batch)
        return nil
      } catch { return error.code }
    }
    #expect(code([TokenID(TinyModel.vocabulary)]) == .invalidArgument)
    #expect(code([-1]) == .invalidArgument)
    #expect(code([1, 2], at: 99) == .invalidArgument)
    #expect(code([1, 2], at: 98) == nil)
    #expect(try executor.forward(ForwardBatch()).isEmpty)
  }

  @Test(arguments: KVDType.allCases)
  func copiedBlocksGiveTheSameTokens(dtype: KVDType) throws {
    let weights = try Self.load { _ in }
    let executor = try CPUModelExecutor(
      weights: weights, configuration: .init(blockCount: 8, kvDType: dtype, threads: 1))
    var batch = ForwardBatch()
    batch.append(tokens: TinyModel.prompt(30, seed: 4), startPosition: 0, blocks: [3, 5], logitCount: 0)
    _ = try executor.forward(batch)
    executor.copyBlock(from: 5, to: 0)
    func next(_ blocks: [BlockID]) throws -> [Float] {
      var batch = ForwardBatch()
      batch.append(tokens: [7], startPosition: 30, blocks: blocks, logitCount: 1)
      return Array(try executor.forward(batch))
    }
    let original = try next([3, 5])
    #expect(try next([3, 0]) == original)
    #expect(try next([5, 3]) != original)
  }

  @Test func layoutsTellArithmeticAndTypeApart() throws {
    let weights = try Self.load { _ in }
    let layout = CPUModelExecutor.layout(weights, blockSize: 16, kvDType: .f16, arithmetic: .fast)
    let others = [
      CPUModelExecutor.layout(weights, blockSize: 16, kvDType: .f16, arithmetic: .reference),
      CPUModelExecutor.layout(weights, blockSize: 16, kvDType: .bf16, arithmetic: .fast),
      CPUModelExecutor.layout(weights, blockSize: 32, kvDType: .f16, arithmetic: .fast),
    ]
    for other in others { #expect(other.digest != layout.digest) }
    let layouts = KVDType.allCases.map {
      CPUModelExecutor.layout(weights, blockSize: 16, kvDType: $0, arithmetic: .fast)
    }
    #expect(Set(layouts.map(\.digest)).count == KVDType.allCases.count)
    #expect(layout.blockBytes() == 16 * 2 * 64 * 2 * 3 * 2)
  }

  /// Long contexts are split among threads, whose partial results take room; what is said to be needed covers them.
  @Test(arguments: [1, 2, 4], [16, 2_048]) func scratchIsWhatWasSaid(threads: Int, context: Int) throws {
    let weights = try Self.load { $0.kvHeads = 1 }
    let executor = try CPUModelExecutor(
      weights: weights, configuration: .init(blockCount: 128, threads: threads, maximumContextLength: context))
    let said = CPUModelExecutor.scratchBytes(model: weights.configuration, threads: threads, contextLength: context)
    #expect(executor.heldScratchBytes <= said)
    for count in [1, 3, 16, 40] where count <= context {
      var batch = ForwardBatch()
      batch.append(
        tokens: [TokenID](repeating: 1, count: count)[...], startPosition: context - count,
        blocks: (0..<128).map { $0 }[...],
        logitCount: 1)
      _ = try executor.forward(batch)
      #expect(executor.heldScratchBytes <= said)
      try executor.begin(batch)
      while executor.advance() == nil {}
      #expect(executor.heldScratchBytes <= said)
    }
    let withLogits = CPUModelExecutor.scratchBytes(
      model: weights.configuration, threads: threads, contextLength: context, logitRows: 10)
    #expect(withLogits == said + 10 * weights.configuration.vocabularySize * 4)
  }
}
