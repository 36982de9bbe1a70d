import ClusterHarness
import GRPCCore
import ServingProtos
import ServingTypes
import Testing

// What tiers must agree on to share blocks.
extension ClusterTests {
  /// A prefill worker's arguments, and what the two layouts say.
  static let otherLayouts = [
    (["--block-size", "32"], ["block_size 16", "block_size 32"]), (["--kv-cache-dtype", "int8"], [" f16 ", " int8 "]),
  ]

  @Test(arguments: otherLayouts)
  func anotherLayoutIsRefusedAtTheHandoffWithBothNamed(arguments: [String], layouts: [String]) async throws {
    try await Cluster.run(.smollm2(prefill: 1, decode: 1, prefillArguments: arguments)) { cluster in
      // The router never pairs them; asked directly, the prefill worker refuses.
      let request = Prompts.greedy(Prompts.words(100, seed: 3), maxTokens: 4)
      let answer = try await cluster.router.generate(request)
      #expect(answer.tokens.count == 4 && answer.route.transferredBlocks == 0)
      let described = try await cluster.decode[0].withClient { client in
        try await Baton_V1_Worker.Client(wrapping: client).describe(.init())
      }
      let open = Baton_V1_PrefillRequest.with {
        $0.open = .with {
          $0.requestID = "r"
          $0.promptTokens = [1, 2, 3]
          $0.layoutDigest = described.layoutDigest
          $0.layout = described.layout
        }
      }
      do {
        try await cluster.prefill[0].withClient { client in
          try await Baton_V1_Prefill.Client(wrapping: client).prefill { writer in
            try await writer.write(open)
          } onResponse: { response in
            for try await _ in response.messages {}
          }
        }
        Issue.record("the hand-off was accepted")
      } catch let error as RPCError {
        #expect(error.code == .failedPrecondition)
        #expect(layouts.allSatisfy { error.message.contains($0) }, "\(error.message)")
      }
      try await cluster.expectNoBlocksInUse()
    }
  }

  /// What is handed over are the codes and their scales: nothing is rounded a second time.
  @Test(arguments: ["int8", "fp8"]) func quantisedBlocksAreHandedOverAsTheyAre(dtype: String) async throws {
    let arguments = ["--kv-cache-dtype", dtype]
    let requests = Prompts.sharing(8, groups: 2, maxTokens: 16)
    let expected = try await expected(requests, arguments: arguments)
    try await Cluster.run(.smollm2(prefill: 1, decode: 1, arguments: arguments)) { cluster in
      let answers = try await concurrently(requests, on: cluster.router)
      expectEqual(answers, expected)
      #expect(answers.contains { $0.route.transferredBlocks > 0 }, "no blocks were handed over")
      try await cluster.expectNoBlocksInUse()
    }
  }
}
