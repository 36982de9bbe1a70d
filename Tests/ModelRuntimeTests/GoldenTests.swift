import Foundation
import ModelRuntime
import ServingTestKit
import ServingTypes
import Testing
import Tokenization

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

  /// The 1.5B model puts activations in the thousands on a lone first token, which llama.cpp quantises by the 256: it is 8
  /// off there in log-probability from a float32 forward pass, whose values our reference kernels give to the third digit.
  static func isBeyondLlamaCpp(_ file: String, _ prompt: String) -> Bool {
    file == "qwen2.5-coder-1.5b" && prompt == "one_char"
  }

  @Test(.enabled(if: ModelFile.path(ModelFile.gemma3) != nil, "the model is absent"))
  func gemma3() throws { try compareWithLlamaCpp(ModelFile.gemma3, "gemma3-270m") }

  @Test(.enabled(if: ModelFile.path(ModelFile.qwenHalfBillion) != nil, "the model is absent"))
  func qwenHalfBillion() throws { try compareWithLlamaCpp(ModelFile.qwenHalfBillion, "qwen2.5-coder-0.5b") }

  @Test(.enabled(if: ModelFile.path(ModelFile.qwen) != nil, "the model is absent"))
  func qwen() throws { try compareWithLlamaCpp(ModelFile.qwen, "qwen2.5-coder-1.5b") }

  private func compareWithLlamaCpp(_ model: String, _ file: String) throws {
    let golden = try GoldenFile.load(file).ordered
    let session = try ModelSession(Self.weights(model))
    let result = try session.generate(golden.map(\.prompt.ids), steps: 48)
    var differences: [Double] = []
    for (index, (name, prompt)) in golden.enumerated() {
      let ours = logSoftmax(result.logits[index])
      for entry in prompt.llamaCpp.top10 where !Self.isBeyondLlamaCpp(file, name) {
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

  /// The float32 standard is 18.342, llama.cpp gives 18.39 to 18.49: 8 windows of 512, the second half of each scored.
  @Test(
    .enabled(if: ModelFile.path(ModelFile.smolLM2) != nil, "the model is absent"),
    arguments: [(KernelArithmetic.reference, 0.01), (.fast, 0.005 * 18.342)])
  func perplexity(arithmetic: KernelArithmetic, tolerance: Double) throws {
    let perplexity = try GoldenText().perplexity(.init(blockCount: 32, threads: 2, arithmetic: arithmetic))
    #expect(abs(perplexity - 18.342) <= tolerance)
  }

  /// What storing keys and values in fewer bits costs.
  @Test(
    .enabled(if: ModelFile.path(ModelFile.smolLM2) != nil, "the model is absent"),
    arguments: [
      (KernelArithmetic.reference, [(KVDType.f16, 0.001), (.bf16, 0.001), (.int8, 0.01), (.fp8, 0.02)]),
      (.fast, [(.int8, 0.01), (.fp8, 0.02)]),
    ])
  func perplexityOfStoredTypes(arithmetic: KernelArithmetic, tolerances: [(dtype: KVDType, share: Double)]) throws {
    let text = try GoldenText()
    func perplexity(_ dtype: KVDType) throws -> Double {
      try text.perplexity(.init(blockCount: 32, kvDType: dtype, threads: 2, arithmetic: arithmetic))
    }
    let exact = try perplexity(.f32)
    for (dtype, share) in tolerances {
      let stored = try perplexity(dtype)
      #expect(abs(stored / exact - 1) <= share, "\(dtype): \(stored), f32 \(exact)")
    }
  }

  /// Activations quantised by the fast kernels turn any change of the last bits into a noise of 0.17 %, one standard deviation of
  /// one reading of the text. So what 16 bits cost is the mean over readings whose windows begin elsewhere.
  @Test(.enabled(if: ModelFile.path(ModelFile.smolLM2) != nil, "the model is absent"))
  func perplexityOfSixteenBitsUnderFastKernels() throws {
    let text = try GoldenText()
    let firsts = Array(stride(from: 0, to: 500, by: 25))
    var costs: [KVDType: Double] = [:]
    for first in firsts {
      func perplexity(_ dtype: KVDType) throws -> Double {
        try text.perplexity(.init(blockCount: 32, kvDType: dtype, threads: 2), windows: 7, first: first)
      }
      let exact = try perplexity(.f32)
      for dtype in [KVDType.f16, .bf16] { costs[dtype, default: 0] += try perplexity(dtype) / exact - 1 }
    }
    for (dtype, sum) in costs {
      let mean = sum / Double(firsts.count)
      #expect(abs(mean) <= 0.001, "\(dtype): \(mean)")
    }
  }
}
