import ClusterHarness
import ServingProtos
import ServingTypes
import Testing

/// Routers that know of each other's work only what Redis and the workers tell.
@Suite(.serialized, .enabled(if: TestFiles.baton != nil && TestFiles.redis != nil))
struct TwoRoutersTests {
  @Test func whatOneRouterSentTheOtherFinds() async throws {
    try await Cluster.run(.simulated(routers: 2, prefill: 2, decode: 2)) { cluster in
      let request = TokenPrompts.greedy(400)
      let first = try await cluster.routers[0].generate(request)
      #expect(first.usage.cachedTokens == 0)
      let holder = try await holder(of: first, blocks: 25, in: cluster)
      // A router's first lookup finds its connection young, and has a tenth of a second.
      _ = try await cluster.routers[1].generate(TokenPrompts.greedy(64, seed: 9))
      let second = try await cluster.routers[1].generate(request)
      #expect(second.agrees(with: first) && second.route.decode.id == holder.name)
      #expect(second.usage.cachedTokens >= 384)
      // Equal prompts go to equal workers even where nothing is known; this one was known.
      let chosen = second.route.candidates.first { $0.worker == holder.name }
      #expect(chosen?.predictedCachedBlocks ?? 0 >= 25, "\(second.route.candidates)")
      try await cluster.expectNoBlocksInUse()
    }
  }

  /// The decode worker that gave the answer, once it has announced so many blocks.
  private func holder(of answer: Answer, blocks: Double, in cluster: Cluster) async throws -> LocalProcess {
    let holder = try #require(cluster.decode.first { $0.name == answer.route.decode.id })
    try await waitUntil("its blocks are announced") {
      try await cluster.metrics(of: holder).value("baton_directory_announced_blocks_total") ?? 0 >= blocks
    }
    return holder
  }

  /// All prompts share a beginning, which draws them to whoever has it, and no router knows what the other has under way.
  @Test func noWorkerIsHerdedTo() async throws {
    let requests = (0..<48).map { index in
      var request = TokenPrompts.greedy(160, maxTokens: 32)
      request.tokens.ids += TokenPrompts.greedy(300, seed: UInt32(index + 1)).tokens.ids
      return request
    }
    let expected = try await TokenPrompts.answers(to: requests)
    try await PacedModel(step: .milliseconds(5)).withFile { model in
      try await Cluster.run(.simulated(routers: 2, prefill: 2, decode: 2, model: model)) { cluster in
        let first = try await cluster.routers[0].generate(TokenPrompts.greedy(160))
        _ = try await holder(of: first, blocks: 10, in: cluster)
        let answers = try await withThrowingTaskGroup(of: [(Int, Answer)].self) { group in
          for (half, router) in cluster.routers.enumerated() {
            group.addTask {
              try await router.withClient { client in
                try await withThrowingTaskGroup(of: (Int, Answer).self) { group in
                  for index in stride(from: half, to: requests.count, by: 2) {
                    group.addTask { (index, try await LocalProcess.generate(requests[index], over: client)) }
                  }
                  return try await group.reduce(into: []) { $0.append($1) }
                }
              }
            }
          }
          return try await group.reduce(into: []) { $0 += $1 }
        }
        for (index, answer) in answers { #expect(answer.agrees(with: expected[index]), "request \(index)") }
        for worker in cluster.workers {
          let share = answers.count { [$0.1.route.decode.id, $0.1.route.prefill.id].contains(worker.name) }
          #expect(share >= requests.count / 4, "\(worker.name) got \(share) of \(requests.count)")
        }
        try await cluster.expectNoBlocksInUse()
      }
    }
  }
}
