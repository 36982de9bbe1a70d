import Foundation
import ModelRuntime
import ServingTypes

/// An executor with a pool that is dealt out in order: each sequence gets as many blocks as it needs.
final class ModelSession {
  struct Sequence {
    var tokens: [TokenID]
    var stored = 0
    var blocks: [BlockID] = []
  }

  let executor: CPUModelExecutor
  private var nextBlock: BlockID = 0
  var sequences: [Sequence] = []

  init(
    _ weights: ModelWeights, arithmetic: KernelArithmetic = .fast, path: KernelPath? = nil, threads: Int = 2,
    kvDType: KVDType = .f16, blockSize: Int = 16, blockCount: Int = 512
  ) throws {
    executor = try CPUModelExecutor(
      weights: weights,
      configuration: .init(
        blockSize: blockSize, blockCount: blockCount, kvDType: kvDType, threads: threads, arithmetic: arithmetic,
        path: path))
  }

  /// Adds a sequence with room for its tokens and `room` more, and returns its index.
  func add(_ tokens: [TokenID], room: Int = 0) -> Int {
    let size = executor.layout.blockSize
    let count = (tokens.count + room + size - 1) / size
    sequences.append(Sequence(tokens: tokens, blocks: (0..<count).map { nextBlock + BlockID($0) }))
    nextBlock += BlockID(count)
    return sequences.count - 1
  }

  /// Runs up to `counts[i]` more tokens of each sequence in one batch; returns the last token's logits of each.
  func step(_ counts: [Int: Int]) throws -> [Int: [Float]] {
    var batch = ForwardBatch()
    let order = counts.keys.sorted()
    for index in order {
      let sequence = sequences[index]
      let end = min(sequence.tokens.count, sequence.stored + (counts[index] ?? 0))
      batch.append(
        tokens: sequence.tokens[sequence.stored..<end], startPosition: sequence.stored, blocks: sequence.blocks,
        logitCount: 1)
      sequences[index].stored = end
    }
    let logits = try executor.forward(batch)
    var result: [Int: [Float]] = [:]
    for (row, index) in order.enumerated() {
      let start = row * executor.vocabularySize
      result[index] = Array(logits[start..<start + executor.vocabularySize])
    }
    return result
  }

  /// Begins a pass in pieces over up to `count` more tokens of a sequence, which then count as stored.
  func begin(_ index: Int, _ count: Int) throws {
    let sequence = sequences[index]
    let end = min(sequence.tokens.count, sequence.stored + count)
    var batch = ForwardBatch()
    batch.append(
      tokens: sequence.tokens[sequence.stored..<end], startPosition: sequence.stored, blocks: sequence.blocks,
      logitCount: end == sequence.tokens.count ? 1 : 0)
    sequences[index].stored = end
    try executor.begin(batch)
  }

  /// The next piece; after the last one the logits, if any were wanted.
  func advance() throws -> [Float]? { executor.advance().map(Array.init) }

  func append(_ token: TokenID, to index: Int) { sequences[index].tokens.append(token) }

  /// The logits after each prompt, then `steps` greedy tokens of each, all prompts in one batch.
  func generate(_ prompts: [[TokenID]], steps: Int) throws -> (logits: [[Float]], greedy: [[TokenID]]) {
    let indices = prompts.map { add($0, room: steps) }
    let first = try step(Dictionary(uniqueKeysWithValues: zip(indices, prompts.map(\.count))))
    var greedy = [[TokenID]](repeating: [], count: prompts.count)
    var last = first
    for round in 0..<steps {
      for (place, index) in indices.enumerated() {
        let token = argMax(last[index] ?? [])
        greedy[place].append(token)
        append(token, to: index)
      }
      if round + 1 < steps { last = try step(Dictionary(uniqueKeysWithValues: indices.map { ($0, 1) })) }
    }
    return (indices.map { first[$0] ?? [] }, greedy)
  }
}

func argMax(_ logits: [Float]) -> TokenID {
  TokenID(logits.indices.max { logits[$0] < logits[$1] } ?? -1)
}

/// Log-probabilities, summed in double precision.
func logSoftmax(_ logits: [Float]) -> [Double] {
  let largest = Double(logits.max() ?? 0)
  let sum = logits.reduce(0) { $0 + exp(Double($1) - largest) }
  return logits.map { Double($0) - largest - log(sum) }
}

/// Kullback-Leibler divergence of `approximation` from `reference`, both log-probabilities.
func divergence(of approximation: [Double], from reference: [Double]) -> Double {
  zip(reference, approximation).reduce(0) { $0 + exp($1.0) * ($1.0 - $1.1) }
}
