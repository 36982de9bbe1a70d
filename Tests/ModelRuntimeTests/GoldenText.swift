import Foundation
import ModelRuntime
import ServingTestKit
import ServingTypes
import Testing
import Tokenization

/// SmolLM2 and the text whose perplexity is known.
struct GoldenText {
  private let weights: ModelWeights
  private let tokens: [TokenID]

  init() throws {
    let file = try GGUFFile(path: #require(ModelFile.path(ModelFile.smolLM2)))
    let url = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
      .appendingPathComponent("Golden/perplexity.txt")
    let text = try String(contentsOf: url, encoding: .utf8)
    tokens = try file.makeTokenizer().encode(text, parseSpecial: false, addSpecial: false)
    try #require(tokens.count >= 4_096)
    weights = try ModelWeights(file: file, threads: 2)
  }

  /// Over up to 8 windows of 512 tokens from `first` on, the second half of each scored.
  func perplexity(_ configuration: CPUModelExecutor.Configuration, windows: Int = 8, first: Int = 0) throws -> Double {
    let executor = try CPUModelExecutor(weights: weights, configuration: configuration)
    var sum = 0.0
    var scored = 0
    for window in 0..<windows {
      let part = Array(tokens[first + 512 * window..<first + 512 * (window + 1)])
      var batch = ForwardBatch()
      batch.append(tokens: part.dropLast(), startPosition: 0, blocks: (0..<32).map(BlockID.init), logitCount: 255)
      let logits = try executor.forward(batch)
      for row in 0..<255 {
        let one = Array(logits[row * executor.vocabularySize..<(row + 1) * executor.vocabularySize])
        sum -= logSoftmax(one)[Int(part[257 + row])]
        scored += 1
      }
    }
    return exp(sum / Double(scored))
  }
}
