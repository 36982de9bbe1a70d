import Foundation
import ModelRuntime
import ServingTestKit
import ServingTypes
import Testing

/// The real models against an independent implementation, by the rules of Tests/Golden/README.md.
@Suite(.serialized)
struct GoldenTests {
  static func weights(_ model: String) throws -> ModelWeights {
    try ModelWeights(path: #require(ModelFile.path(model)), threads: 2)
  }

  /// Steps before the first whose margin is at most `margin`.
  static func certainSteps(_ reference: GoldenFile.Reference, margin: Double) -> Int {
    reference.greedyMargin.firstIndex { $0 <= margin } ?? reference.greedyMargin.count
  }

  @Test(.enabled(if: ModelFile.path(ModelFile.smolLM2) != nil, "the model is absent"))
  func smolLM2() throws {
    let golden = try GoldenFile.load("smollm2").ordered
    let weights = try Self.weights(ModelFile.smolLM2)
    let prompts = golden.map(\.prompt.ids)
    let reference = try ModelSession(weights, arithmetic: .reference).generate(prompts, steps: 24)
    let fast = try ModelSession(weights).generate(prompts, steps: 48)
    var ours = 0.0
    var llamaCpp = 0.0
    for (index, (name, prompt)) in golden.enumerated() {
      let standard = try #require(prompt.float32)
      let exact = logSoftmax(reference.logits[index])
      for entry in standard.top10 {
        #expect(abs(exact[Int(entry[0])] - entry[1]) <= 0.02, "\(name): token \(Int(entry[0])), reference kernels")
      }
      let certain = Self.certainSteps(standard, margin: 0.05)
      #expect(
        reference.greedy[index].prefix(certain).elementsEqual(standard.greedy.prefix(min(certain, 24))),
        "\(name): reference kernels")
      let quantized = logSoftmax(fast.logits[index])
      ours += divergence(of: quantized, from: exact) / Double(golden.count)
      llamaCpp += try #require(prompt.divergence).kl / Double(golden.count)
      let sure = Self.certainSteps(standard, margin: 0.3)
      #expect(
        fast.greedy[index].prefix(sure).elementsEqual(standard.greedy.prefix(sure)), "\(name): fast kernels")
      if standard.greedyMargin[0] > 0.3 { #expect(argMax(fast.logits[index]) == standard.greedy[0], "\(name)") }
    }
    #expect(ours <= llamaCpp, "divergence from the reference kernels")
  }

  @Test(arguments: [
    (ModelFile.gemma3, "gemma3-270m"), (ModelFile.qwenHalfBillion, "qwen2.5-coder-0.5b"),
    (ModelFile.qwen, "qwen2.5-coder-1.5b"),
  ])
  func againstLlamaCpp(model: String, file: String) throws {
    guard ModelFile.path(model) != nil else { return }
    let golden = try GoldenFile.load(file).ordered
    let session = try ModelSession(Self.weights(model))
    let result = try session.generate(golden.map(\.prompt.ids), steps: 48)
    var differences: [Double] = []
    for (index, (name, prompt)) in golden.enumerated() {
      let ours = logSoftmax(result.logits[index])
      for entry in prompt.llamaCpp.top10 {
        let difference = abs(ours[Int(entry[0])] - entry[1])
        #expect(difference <= 0.8, "\(name): token \(Int(entry[0]))")
        differences.append(difference)
      }
      let sure = Self.certainSteps(prompt.llamaCpp, margin: 0.3)
      #expect(result.greedy[index].prefix(sure).elementsEqual(prompt.llamaCpp.greedy.prefix(sure)), "\(name)")
      if prompt.llamaCpp.greedyMargin[0] > 0.3 {
        #expect(argMax(result.logits[index]) == prompt.llamaCpp.greedy[0], "\(name)")
      }
    }
    let mean = differences.reduce(0, +) / Double(differences.count)
    #expect(mean <= 0.25, "mean difference of the top 10")
  }
}
