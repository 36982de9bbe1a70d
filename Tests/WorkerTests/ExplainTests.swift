import Observability
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
      var costs: [WorkerRole: [CandidateCost]] = [:]
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
        for candidate in route.candidates where candidate.chosen {
          costs[candidate.role, default: []].append(candidate)
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
      let metrics = try MetricsSnapshot(parsing: text)
      #expect(costs[.decode]?.count == 2 && costs[.prefill]?.count == 1)
      for (role, chosen) in costs {
        for (term, value) in [
          ("prefill", \CandidateCost.prefill), ("cached", \.cached), ("pending", \.pending), ("active", \.active),
          ("waiting", \.waiting), ("recent", \.recent),
        ] {
          let labels = ["role": role.rawValue, "term": term]
          #expect(metrics.value("baton_router_cost_blocks_count", where: labels) == Double(chosen.count))
          let sum = try #require(metrics.value("baton_router_cost_blocks_sum", where: labels))
          #expect(abs(sum - chosen.map { $0[keyPath: value] }.reduce(0, +)) < 1e-6, "\(labels)")
        }
      }
      #expect(
        text.contains("baton_router_actual_cached_blocks_total 19")
          || text.contains("baton_router_actual_cached_blocks_total 20"))
    }
  }

  /// One sequence at a time: the second request waits until the first one is given up.
  @Test(arguments: [false, true]) func whoWaitedIsToldHowLong(isHandedOff: Bool) async throws {
    let step = Duration.milliseconds(5)
    let length = 3000
    var decode = WorkerOptions.decode
    decode.cost = SimulatedExecutor.Cost(step: step)
    decode.engine.maxNumSeqs = 1
    decode.engine.enableSpecDecode = false
    try await RoutedWorkers.with(isHandedOff ? [decode, .prefill] : [decode]) { routed in
      let worker = routed.workers[0]
      func request(_ seed: Int, maxTokens: Int) -> GenerationRequest {
        GenerationRequest(
          prompt: .tokens(prompt(100, seed: seed)), sampling: SamplingParameters(temperature: 0, maxTokens: maxTokens),
          explain: true)
      }
      let isOver = Lock(false)
      async let first = routed.answer(request(1, maxTokens: length)) { _ in
        if isOver.withLock(\.self) { throw CancellationError() }
      }
      await eventually("it never runs") { worker.engine.statistics.generatedTokens > 0 }
      async let second = routed.answer(request(2, maxTokens: 2))
      await eventually("nobody waits") { worker.engine.statistics.waitingSequences == 1 }
      // Each of these begins later than the wait did.
      let begun = worker.record.counts.steps
      await eventually("it stands still") { worker.record.counts.steps > begun + 50 }
      isOver.withLock { $0 = true }
      let waited = try #require(try await second.timeline)
      #expect(waited.decodeQueueSeconds >= step * 50 / .seconds(1))
      #expect(waited.firstTokenSeconds >= waited.decodeQueueSeconds)
      #expect(try await (second.route?.prefill != nil) == isHandedOff)
      let left = try? await first
      #expect(left == nil, "it was given up")
    }
  }
}
