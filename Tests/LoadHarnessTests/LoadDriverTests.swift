import Engine
import LoadHarness
import ServingTestKit
import ServingTypes
import Testing

@Suite struct LoadDriverTests {
  private func engine(blocks: Int = 256, _ change: (inout EngineConfiguration) -> Void = { _ in }) throws -> EngineCore
  {
    var configuration = EngineConfiguration(targetStepTime: .zero, checkIntegrityOnIdle: true)
    change(&configuration)
    let engine = try EngineCore(
      executor: SimulatedExecutor(blockCount: blocks, blockSize: 16, vocabularySize: 64, maximumContextLength: 2048),
      configuration: configuration)
    engine.start()
    return engine
  }

  private let recipe = TraceRecipe(
    seed: 1, count: 24, prompt: LengthDistribution(median: 20, spread: 1, most: 100),
    output: LengthDistribution(median: 10, spread: 1, most: 60), longestContext: 200, requestsPerSecond: 500)

  @Test(arguments: [LoadDriver.Mode.allAtOnce, .closedLoop(clients: 3), .atArrivals])
  func everyRequestGetsItsTokens(mode: LoadDriver.Mode) async throws {
    let trace = Trace(recipe)
    let engine = try engine()
    let result = try await LoadDriver(engine: engine, trace: trace).run(mode)
    #expect(result.requests.map(\.request) == trace.requests)
    #expect(result.outputTokens == trace.outputTokens)
    for each in result.requests {
      #expect(each.tokens.count == each.request.outputLength && each.arrivals.count == each.tokens.count)
      #expect(each.firstTokenSeconds >= 0 && each.latency >= each.firstTokenSeconds)
      #expect(each.gaps.count == each.tokens.count - 1 && each.gaps.allSatisfy { $0 >= 0 })
    }
    #expect(result.after.requestsFinished == 24)
    try await engine.checkIntegrity()
    await engine.stop()
  }

  @Test func turnsContinueTheirConversation() async throws {
    var recipe = recipe
    recipe.turns = 3
    recipe.count = 6
    let trace = Trace(recipe)
    let engine = try engine()
    let result = try await LoadDriver(engine: engine, trace: trace).run(.closedLoop(clients: 6))
    for turns in Dictionary(grouping: result.requests, by: \.request.conversation).values {
      for (earlier, later) in zip(turns, turns.dropFirst()) {
        #expect(later.request.turn == earlier.request.turn + 1)
        #expect(later.prompt.starts(with: earlier.prompt + earlier.tokens))
        #expect(later.submitted >= earlier.arrivals.last ?? 0)
      }
    }
    // What was computed for one turn is found by the next.
    #expect(result.hitRate > 0)
    await engine.stop()
  }

  @Test func aRefusalIsAFailure() async throws {
    let engine = try engine { $0.maxQueuedRequests = 1 }
    await #expect(throws: ServingError.self) {
      try await LoadDriver(engine: engine, trace: Trace(recipe)).run(.allAtOnce)
    }
    await engine.stop()
  }

  @Test func aRefusalCountsWhereItIsTaken() async throws {
    let engine = try engine {
      $0.maxQueuedRequests = 1
      $0.maxNumSeqs = 1
    }
    var driver = LoadDriver(engine: engine, trace: Trace(recipe))
    driver.takesRefusals = true
    let result = try await driver.run(.allAtOnce)
    #expect(result.refused > 0 && result.refused + result.requests.count == 24)
    #expect(result.requests.allSatisfy { $0.tokens.count == $0.request.outputLength })
    await engine.stop()
  }

  @Test func tenantsAreToldApart() async throws {
    var recipe = recipe
    recipe.tenants = 3
    let trace = Trace(recipe)
    let engine = try engine { $0.fairSharePolicy = .deficitRoundRobin }
    let result = try await LoadDriver(engine: engine, trace: trace).run(.allAtOnce)
    #expect(result.othersFirstTokenSeconds.count == trace.requests.count { ($0.tenant ?? 0) > 0 })
    await engine.stop()
  }
}
