import Routing
import ServingTestKit
import ServingTypes
import Testing

/// What an answer tells of its way adds up.
@Suite struct ExplainTests {
  @Test func theTimesAndTheHitsAreThere() async throws {
    var prefill = WorkerOptions.prefill
    prefill.cost = SimulatedExecutor.Cost(step: .milliseconds(5))
    var decode = WorkerOptions.decode
    decode.cost = SimulatedExecutor.Cost(step: .milliseconds(5))
    let request = GenerationRequest(
      prompt: .tokens(prompt(320)), sampling: SamplingParameters(temperature: 0, seed: 1, maxTokens: 12), explain: true)
    try await RoutedWorkers.with([prefill, decode]) { routed in
      var last: (GenerationRoute, GenerationTimeline)?
      for attempt in 0..<2 {
        let generation = try await routed.router.generate(request)
        for try await update in generation.updates {
          if let route = update.route, let timeline = update.timeline { last = (route, timeline) }
        }
        let (route, timeline) = try #require(last)
        #expect(timeline.routingSeconds > 0)
        #expect(timeline.firstTokenSeconds > 0 && timeline.firstStepSeconds > 0)
        #expect(timeline.decodeSeconds >= timeline.firstStepSeconds)
        let parts = timeline.prefillSeconds + timeline.transferSeconds + timeline.admissionSeconds
        #expect(parts > 0 && timeline.transferSeconds >= 0 && timeline.admissionSeconds >= 0)
        let chosen = try #require(route.candidates.first { $0.worker == route.decode?.id })
        #expect(chosen.chosen && !chosen.isDoubtful)
        for candidate in route.candidates {
          #expect(abs(candidate.cost - candidate.prefill - candidate.load) < 1e-9)
          let parts = [candidate.pending, candidate.active, candidate.waiting, candidate.recent]
          #expect(abs(candidate.load - parts.reduce(0, +)) < 1e-9 && parts.allSatisfy { $0 >= 0 }, "\(parts)")
        }
        if attempt == 0 {
          #expect(route.prefill != nil && route.transferredBlocks == 20)
          #expect(timeline.prefillSeconds > 0 && timeline.admissionSeconds > 0)
          #expect(timeline.transferSeconds < timeline.firstTokenSeconds)
          #expect(chosen.prefill == 20 && chosen.predictedCachedBlocks == 0)
        } else {
          #expect(route.decodeCachedTokens >= 304 && chosen.predictedCachedBlocks >= 19, "predicted and actual hit")
          #expect(chosen.prefill <= 1)
        }
      }
      let text = routed.metrics.exposition()
      #expect(text.contains("baton_router_cost_blocks_count{term=\"prefill\"} 2"))
      #expect(
        text.contains("baton_router_actual_cached_blocks_total 19")
          || text.contains("baton_router_actual_cached_blocks_total 20"))
    }
  }
}
