import ClusterHarness
import ServingProtos

/// Prompts of bytes as tokens, for simulated models.
enum TokenPrompts {
  /// Equal seeds share their prefixes.
  static func greedy(_ length: Int, seed: UInt32 = 0, maxTokens: UInt32 = 24) -> Baton_V1_GenerateRequest {
    .with {
      $0.tokens.ids = (0..<UInt32(length)).map { ($0 * 7 + seed * 31 + $0 / 5 * seed) % 256 }
      $0.sampling.temperature = 0
      $0.sampling.maxTokens = maxTokens
      $0.explain = true
    }
  }

  /// What one worker answers without any reuse, hand-off or speculation; how fast it is makes no difference.
  static func answers(to requests: [Baton_V1_GenerateRequest]) async throws -> [Answer] {
    let plain = ["--no-enable-prefix-caching", "--no-enable-spec-decode"]
    return try await Cluster.run(.simulated(prefill: 0, arguments: plain)) { cluster in
      try await cluster.router.withClient { client in
        var answers: [Answer] = []
        for request in requests { answers.append(try await LocalProcess.generate(request, over: client)) }
        return answers
      }
    }
  }
}
