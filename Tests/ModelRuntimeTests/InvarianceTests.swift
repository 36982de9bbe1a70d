import Foundation
import ModelRuntime
import ServingTestKit
import ServingTypes
import Testing

/// A token's logits are the same bits however its sequence was cut, batched and computed.
struct InvarianceTests {
  static func weights(_ architecture: ModelArchitecture) throws -> ModelWeights {
    try ModelWeights(file: TinyModel(architecture).file(), threads: 2)
  }

  /// The logits after the prompt, fed in chunks.
  static func logits(
    _ weights: ModelWeights, _ prompt: [TokenID], chunk: Int, path: KernelPath? = nil, threads: Int = 2,
    arithmetic: KernelArithmetic = .fast, kvDType: KVDType = .f16, blockSize: Int = 16
  ) throws -> [Float] {
    let session = try ModelSession(
      weights, arithmetic: arithmetic, path: path, threads: threads, kvDType: kvDType, blockSize: blockSize)
    let index = session.add(prompt)
    var last: [Float] = []
    while session.sequences[index].stored < prompt.count { last = try session.step([index: chunk])[index] ?? [] }
    return last
  }

  @Test(arguments: ModelArchitecture.allCases, [KernelArithmetic.fast, .reference])
  func chunks(architecture: ModelArchitecture, arithmetic: KernelArithmetic) throws {
    let weights = try Self.weights(architecture)
    let prompt = TinyModel.prompt(arithmetic == .fast ? 330 : 90, seed: 1)
    let whole = try Self.logits(weights, prompt, chunk: prompt.count, arithmetic: arithmetic)
    #expect(!whole.contains { !$0.isFinite })
    for chunk in [1, 7, 64, 300] {
      #expect(try Self.logits(weights, prompt, chunk: chunk, arithmetic: arithmetic) == whole, "chunks of \(chunk)")
    }
  }

  @Test(arguments: ModelArchitecture.allCases)
  func pathsThreadsAndBlockSizes(architecture: ModelArchitecture) throws {
    let weights = try Self.weights(architecture)
    let prompt = TinyModel.prompt(300, seed: 2)
    let whole = try Self.logits(weights, prompt, chunk: 300)
    for path in KernelPath.allCases.filter(\.isSupported) {
      #expect(try Self.logits(weights, prompt, chunk: 290, path: path) == whole, "\(path)")
    }
    for threads in [1, 3] {
      #expect(try Self.logits(weights, prompt, chunk: 299, threads: threads) == whole, "\(threads) threads")
    }
    for blockSize in [8, 64] {
      #expect(try Self.logits(weights, prompt, chunk: 100, blockSize: blockSize) == whole, "blocks of \(blockSize)")
    }
  }

  /// Logits of the vocabulary's first tokens alone are those that all have; parts of a tile of rows are parts, too.
  @Test(arguments: ModelArchitecture.allCases, [KernelArithmetic.fast, .reference])
  func partsOfTheVocabulary(architecture: ModelArchitecture, arithmetic: KernelArithmetic) throws {
    let weights = try Self.weights(architecture)
    // More than a slab of tokens, more than a panel of rows.
    let prompts = (0..<3).map { TinyModel.prompt(10 + 130 * $0, seed: 30 + UInt64($0)) }
    for path in arithmetic == .fast ? KernelPath.allCases.filter(\.isSupported) : [.best] {
      let session = try ModelSession(weights, arithmetic: arithmetic, path: path)
      var batch = ForwardBatch()
      for prompt in prompts {
        let blocks = session.sequences[session.add(prompt)].blocks
        batch.append(tokens: prompt, startPosition: 0, blocks: blocks, logitCount: 4)
      }
      let whole = Array(try session.executor.forward(batch))
      let vocabulary = TinyModel.vocabulary
      #expect(whole.count == 12 * vocabulary)
      for width in [1, 37, 144] {
        batch.vocabularyPrefix = width
        let expected = (0..<12).flatMap { whole[$0 * vocabulary..<$0 * vocabulary + width] }
        #expect(Array(try session.executor.forward(batch)) == expected, "\(path), \(width) tokens")
        guard width == 37 else { continue }
        try session.executor.begin(batch)
        var last = session.executor.advance()
        while last == nil { last = session.executor.advance() }
        #expect(last.map(Array.init) == expected, "\(path), \(width) tokens, in pieces")
      }
    }
  }

  /// Packing lets go of a mapped file's pages; a tied embedding is read from them again.
  @Test(arguments: [ModelArchitecture.llama, .gemma3])
  func mappedFiles(architecture: ModelArchitecture) throws {
    let prompt = TinyModel.prompt(40, seed: 5)
    let expected = try Self.logits(Self.weights(architecture), prompt, chunk: 40)
    let file = FileManager.default.temporaryDirectory.appending(path: "baton-\(UUID().uuidString).gguf")
    defer { try? FileManager.default.removeItem(at: file) }
    try Data(TinyModel(architecture).bytes()).write(to: file)
    let weights = try ModelWeights(path: file.path, threads: 2)
    #expect(try Self.logits(weights, prompt, chunk: 40) == expected)
  }

  @Test(arguments: ModelArchitecture.allCases)
  func company(architecture: ModelArchitecture) throws {
    let weights = try Self.weights(architecture)
    let prompts = (0..<9).map { TinyModel.prompt(20 + 37 * $0, seed: 10 + UInt64($0)) }
    let alone = try prompts.map { try Self.logits(weights, $0, chunk: $0.count) }
    let session = try ModelSession(weights)
    let indices = prompts.map { session.add($0) }
    var last = [[Float]](repeating: [], count: prompts.count)
    var round = 0
    // Decode tokens, short and long chunks side by side, other ones in every step.
    while indices.contains(where: { session.sequences[$0].stored < prompts[$0].count }) {
      var counts: [Int: Int] = [:]
      for index in indices where session.sequences[index].stored < prompts[index].count {
        counts[index] = [1, 5, 33, 300][(index + round) % 4]
      }
      for (index, logits) in try session.step(counts) { last[index] = logits }
      round += 1
    }
    for index in indices { #expect(last[index] == alone[index], "sequence \(index)") }
  }

  /// A long context beside short ones is cut into splits, and they are not.
  @Test func lengths() throws {
    let weights = try Self.weights(.llama)
    let prompts = [3, 900, 20, 310, 1, 260].enumerated().map { TinyModel.prompt($1, seed: 30 + UInt64($0)) }
    let alone = try prompts.map { try Self.logits(weights, $0, chunk: $0.count, threads: 1) }
    for threads in [1, 2, 5] {
      let session = try ModelSession(weights, threads: threads)
      let indices = prompts.map { session.add($0) }
      for (index, prompt) in zip(indices, prompts) where prompt.count > 1 {
        _ = try session.step([index: prompt.count - 1])
      }
      let last = try session.step(Dictionary(uniqueKeysWithValues: indices.map { ($0, 1) }))
      for index in indices { #expect(last[index] == alone[index], "sequence \(index), \(threads) threads") }
    }
  }

  /// As a verifier of drafts asks for them: several rows of logits from one step.
  @Test func rowsOfLogits() throws {
    let weights = try Self.weights(.llama)
    let prompt = TinyModel.prompt(300, seed: 3)
    let executor = try CPUModelExecutor(weights: weights, configuration: .init(blockCount: 20, threads: 2))
    var batch = ForwardBatch()
    batch.append(tokens: prompt, startPosition: 0, blocks: (0..<20).map(BlockID.init), logitCount: 60)
    let rows = Array(try executor.forward(batch))
    #expect(rows.count == 60 * TinyModel.vocabulary)
    for row in [0, 14, 15, 16, 59] {
      let prefix = Array(prompt[...(240 + row)])
      let expected = try Self.logits(weights, prefix, chunk: 64)
      #expect(Array(rows[row * TinyModel.vocabulary..<(row + 1) * TinyModel.vocabulary]) == expected, "row \(row)")
    }
  }

  @Test(arguments: KVDType.allCases)
  func storedTypes(dtype: KVDType) throws {
    for architecture in ModelArchitecture.allCases {
      let weights = try Self.weights(architecture)
      let prompt = TinyModel.prompt(300, seed: 5)
      let whole = try Self.logits(weights, prompt, chunk: 300, kvDType: dtype)
      #expect(!whole.contains { !$0.isFinite })
      for chunk in [1, 7, 64] {
        #expect(try Self.logits(weights, prompt, chunk: chunk, kvDType: dtype) == whole, "chunks of \(chunk)")
      }
      for path in KernelPath.allCases.filter(\.isSupported) {
        #expect(try Self.logits(weights, prompt, chunk: 290, path: path, kvDType: dtype) == whole, "\(path)")
      }
      for (blockSize, threads) in [(8, 1), (11, 2), (64, 3)] {
        let other = try Self.logits(
          weights, prompt, chunk: 100, threads: threads, kvDType: dtype, blockSize: blockSize)
        #expect(other == whole, "blocks of \(blockSize)")
      }
    }
  }

  @Test(.enabled(if: ModelFile.path(ModelFile.smolLM2) != nil, "the model is absent"))
  func realModel() throws {
    let weights = try ModelWeights(path: #require(ModelFile.path(ModelFile.smolLM2)), threads: 2)
    let prompt = try #require(try GoldenFile.load("smollm2").prompts["long"]).ids.prefix(400)
    let whole = try Self.logits(weights, Array(prompt), chunk: 400)
    for (chunk, threads) in [(7, 2), (64, 1), (300, 3)] {
      #expect(try Self.logits(weights, Array(prompt), chunk: chunk, threads: threads) == whole)
    }
    let short = Array(prompt.prefix(24))
    let expected = try Self.logits(weights, short, chunk: 24)
    for path in KernelPath.allCases.filter(\.isSupported) {
      #expect(try Self.logits(weights, short, chunk: 23, path: path) == expected, "\(path)")
    }
  }
}
