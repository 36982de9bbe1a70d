import Engine
import GRPCCore
import RPC
import ServingProtos
import ServingTestKit
import ServingTypes
import Testing

/// Two tiers over real gRPC must answer as one engine does, token for token.
@Suite struct HandoffEndToEndTests {
  @Test(arguments: [1, 15, 16, 17, 100, 160, 1000], [16, 48, 256])
  func tokensAreThoseOfOneEngine(promptTokens: Int, chunk: Int) async throws {
    var prefill = WorkerOptions.prefill
    prefill.engine.handoffChunkSize = chunk
    let request = decodeRequest(prompt(promptTokens))
    let expected = try await alone(request)
    try await withWorkers([prefill, .decode]) { workers, channels in
      var request = request
      request.prefillCandidates = [workers[0].reference]
      let answer = try await ask(workers[1], request, channels)
      #expect(answer.tokens == expected)
      #expect(answer.finish == [.length])
      #expect(answer.last.usage.promptTokens == UInt32(promptTokens))
      #expect(answer.last.usage.completionTokens == 24)
      #expect(answer.route.prefill == workers[0].reference)
      #expect(answer.route.decode == workers[1].reference)
      #expect(answer.route.transferredBlocks == UInt32((promptTokens + 15) / 16))
      #expect(answer.route.computedTokens == UInt32(promptTokens))
      #expect(workers[1].engine.statistics.computedPromptTokens == 0, "the decode worker computed nothing")
      let sent = workers[0].server.transfers.snapshot
      #expect(sent.completedSends == 1 && sent.failedSends == 0)
    }
  }

  @Test func parallelSamplesAreThoseOfOneEngine() async throws {
    let request = decodeRequest(prompt(150), n: 4, temperature: 0.8)
    let expected = try await alone(request)
    #expect(Set(expected).count > 1)
    try await withWorkers([.prefill, .decode]) { workers, channels in
      var request = request
      request.prefillCandidates = [workers[0].reference]
      let answer = try await ask(workers[1], request, channels)
      #expect(answer.tokens == expected)
    }
  }

  @Test func withoutCandidatesTheDecodeWorkerComputes() async throws {
    let request = decodeRequest(prompt(100))
    let expected = try await alone(request)
    try await withWorkers([.decode]) { workers, channels in
      let answer = try await ask(workers[0], request, channels)
      #expect(answer.tokens == expected)
      #expect(!answer.route.hasPrefill)
      #expect(answer.route.computedTokens == 100)
      #expect(answer.route.transferredBlocks == 0)
    }
  }
}
