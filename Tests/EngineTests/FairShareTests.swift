import Engine
import ServingTestKit
import ServingTypes
import Testing

@Suite struct FairShareTests {
  /// Every request takes two steps, one after the other. Whose step it is that fails tells who was second.
  @Test(arguments: FairSharePolicy.allCases) func tenantsTakeTurns(policy: FairSharePolicy) async throws {
    var setup = Setup()
    setup.configuration.maxNumSeqs = 1
    setup.configuration.fairSharePolicy = policy
    setup.configuration.enablePrefixCaching = false
    setup.failingStep = 2
    let engine = try setup.engine(start: false)
    func request(_ tenant: String, _ seed: Int) -> EngineRequest {
      EngineRequest(prompt: prompt(600, seed: seed), sampling: greedy(2), tenant: tenant)
    }
    let flood = try (0..<4).map { try engine.generate(request("a", $0)) }
    let other = try engine.generate(request("b", 99))
    engine.start()
    var failed: [Int] = []
    for (index, handle) in (flood + [other]).enumerated() {
      do { _ = try await collect(handle) } catch { failed.append(index) }
    }
    #expect(failed == (policy == .none ? [1] : [4]))
    try await expectClean(engine)
    await engine.stop()
  }

  /// An idle engine waits for company, so that requests that come one after the other share their first step.
  @Test func theMergeWindowBringsRequestsTogether() async throws {
    var setup = Setup()
    setup.configuration.batchMergeWindow = .seconds(1)
    let engine = try setup.engine()
    let handles = try (0..<4).map {
      try engine.generate(EngineRequest(prompt: prompt(20, seed: $0), sampling: greedy(1)))
    }
    for handle in handles { _ = try await collect(handle) }
    #expect(setup.record.counts.steps == 1)
    #expect(setup.record.counts.largestStep == 80)
    await engine.stop()
  }
}
