import ClusterHarness
import Foundation
import Testing

/// `best_of`, from an HTTP client to the engines and back.
@Suite(.serialized, .enabled(if: TestFiles.baton != nil && TestFiles.redis != nil))
struct BestOfTests {
  private struct Choice {
    var text: String
    /// Of each token.
    var logprobs: [Double]

    var mean: Double { logprobs.reduce(0, +) / Double(logprobs.count) }
  }

  /// The samples that `best_of` draws are those that `n` would give, and the likeliest of them are the answer; with the prompt
  /// computed by another worker or by the same.
  @Test(arguments: [0, 1]) func theLikeliestSamplesAreTheAnswer(prefillWorkers: Int) async throws {
    try await Cluster.run(.simulated(prefill: prefillWorkers)) { cluster in
      let all = try await Self.choices(cluster, ["n": 6, "logprobs": 0])
      #expect(all.count == 6 && Set(all.map(\.text)).count == 6)
      #expect(all.allSatisfy { $0.logprobs.count == 12 })
      let likeliest = all.sorted { $0.mean > $1.mean }
      for count in [1, 3] {
        let best = try await Self.choices(cluster, ["n": count, "best_of": 6])
        #expect(best.map(\.text) == likeliest.prefix(count).map(\.text))
        #expect(best.allSatisfy { $0.logprobs.isEmpty })
      }
      try await cluster.expectNoBlocksInUse()
    }
  }

  private static func choices(_ cluster: Cluster, _ fields: [String: Int]) async throws -> [Choice] {
    var body: [String: Any] = [
      "prompt": (0..<200).map { $0 * 7 % 256 }, "max_tokens": 12, "temperature": 1, "seed": 3, "ignore_eos": true,
    ]
    for (name, value) in fields { body[name] = value }
    let answer = try await cluster.router.post("/v1/completions", JSONSerialization.data(withJSONObject: body))
    #expect(answer.status == 200, "\(answer.body)")
    let object = try #require(try JSONSerialization.jsonObject(with: Data(answer.body.utf8)) as? [String: Any])
    // All that were drawn are paid for.
    #expect((object["usage"] as? [String: Any])?["completion_tokens"] as? Int == 6 * 12)
    return try #require(object["choices"] as? [[String: Any]]).map { choice in
      Choice(
        text: choice["text"] as? String ?? "",
        logprobs: (choice["logprobs"] as? [String: Any])?["token_logprobs"] as? [Double] ?? [])
    }
  }
}
