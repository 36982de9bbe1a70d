import KVCache
import Scheduling
import ServingTestKit
import ServingTypes
import Testing

@Suite struct LongPromptTests {
  private static var configuration: SchedulerConfiguration {
    SchedulerConfiguration(blockSize: 16, targetStepTime: .milliseconds(50), maxQueueWait: .seconds(1_000_000))
  }

  /// Machines from slow to fast, with cheap and dear attention, and steps that deviate.
  private static let costs: [StepSimulation.Cost] = [
    StepSimulation.Cost(),
    StepSimulation.Cost(jitter: 0.08),
    StepSimulation.Cost(fixed: 0.020, decodeToken: 0.002, prefillToken: 0.001, pair: 0.000_000_2),
    StepSimulation.Cost(fixed: 0.001, decodeToken: 0.000_1, prefillToken: 0.000_02, pair: 0.000_000_01, jitter: 0.05),
    StepSimulation.Cost(fixed: 0.060, decodeToken: 0.004, prefillToken: 0.003),
    StepSimulation.Cost(fixed: 0.004, decodeToken: 0.000_5, prefillToken: 0.000_15, pair: 0.000_000_06),
  ]

  /// The bar: while a prompt of 8,000 tokens is computed, running streams' gaps at the 99th percentile are at most four
  /// times the median without it, and the prompt keeps at least 60 % of the rate that it has alone.
  @Test(arguments: costs.indices, [(1, 0), (8, 0), (32, 0), (1, 1024), (8, 1024), (32, 1024)])
  func aLongPromptAndRunningStreamsShareTheSteps(index: Int, load: (streams: Int, slicedChunkSize: Int)) throws {
    let streams = load.streams
    var configuration = Self.configuration
    configuration.slicedChunkSize = load.slicedChunkSize
    var alone = StepSimulation(configuration, cost: Self.costs[index])
    alone.add(prompt: 100, output: 1)
    try alone.run { $0.isIdle }
    let began = alone.seconds
    alone.add(prompt: 8_000, output: 1)
    try alone.run { $0.isIdle }
    let unloaded = alone.seconds - began

    var loaded = StepSimulation(configuration, cost: Self.costs[index])
    for _ in 0..<streams { loaded.add(prompt: 100, output: 100_000) }
    try loaded.run { $0.gaps.count > 200 * streams }
    let median = Array(loaded.gaps.suffix(100 * streams)).quantile(0.5)
    loaded.forgetGaps()
    let long = loaded.add(prompt: 8_000, output: 1)
    let start = loaded.seconds
    try loaded.run { $0.ends[long.key] != nil }
    #expect(loaded.gaps.quantile(0.99) <= 4 * median)
    #expect(unloaded / (loaded.seconds - start) >= 0.6)
    #expect(load.slicedChunkSize > 0 || loaded.slicedTokens == 0)
    // With many streams a step holds so many prompt tokens that they need not be sliced.
    #expect(load.slicedChunkSize == 0 || loaded.slicedTokens > 7_000 || streams > 8)
  }

  /// Streams that grow while a prompt is read make their part of each step longer: what a step may take follows, or the prompt
  /// would get less and less, and they would grow all the more meanwhile.
  @Test(arguments: [1, 4, 8]) func aLongPromptGetsOnBesideStreamsThatGrow(streams: Int) throws {
    var configuration = Self.configuration
    configuration.slicedChunkSize = 1024
    let cost = StepSimulation.Cost(
      fixed: 0.002, decodeToken: 0.000_2, prefillToken: 0.000_5, pair: 0.000_000_2, decodePair: 0.000_001)
    var alone = StepSimulation(configuration, cost: cost)
    alone.add(prompt: 8_000, output: 1)
    try alone.run { $0.isIdle }

    func begun() throws -> StepSimulation {
      var simulation = StepSimulation(configuration, cost: cost)
      for _ in 0..<streams { simulation.add(prompt: 100, output: 100_000) }
      try simulation.run { $0.gaps.count >= 200 * streams }
      simulation.forgetGaps()
      return simulation
    }
    var loaded = try begun()
    let start = loaded.seconds
    let long = loaded.add(prompt: 8_000, output: 1)
    try loaded.run { $0.ends[long.key] != nil }
    var quiet = try begun()
    try quiet.run { $0.gaps.count >= loaded.gaps.count }
    #expect(loaded.slicedTokens > 7_000)
    #expect(alone.seconds / (loaded.seconds - start) >= 0.6)
    #expect(loaded.gaps.quantile(0.99) <= 4 * quiet.gaps.quantile(0.5))
  }

  /// While a long one goes through the layers in slices, short ones keep coming, and both get on.
  @Test func shortPromptsAndSlicesShareTheSteps() throws {
    var configuration = Self.configuration
    configuration.slicedChunkSize = 1024
    var simulation = StepSimulation(configuration)
    for _ in 0..<8 { simulation.add(prompt: 100, output: 100_000) }
    try simulation.run { $0.gaps.count > 800 }
    let median = simulation.gaps.quantile(0.5)
    simulation.forgetGaps()
    let long = simulation.add(prompt: 8_000, output: 1)
    var shorts: [SequenceGroup] = []
    let start = simulation.seconds
    while simulation.ends[long.key] == nil {
      if simulation.scheduler.waiting.isEmpty { shorts.append(simulation.add(prompt: 60, output: 1)) }
      try simulation.step()
    }
    // Three times what the prompt would take if half of the time for prompts were all that it got.
    let fair = simulation.seconds - start
    #expect(fair < 3 * 2 * 8_000 * (simulation.cost.prefillToken + simulation.cost.pair * 4_000))
    #expect(simulation.slicedTokens > 7_000)
    #expect(simulation.gaps.quantile(0.99) <= 4 * median)
    let waits = shorts.compactMap { short in
      simulation.firstTokens[short.key].map { $0 - (simulation.arrivals[short.key] ?? 0) }
    }
    #expect(waits.count > 20)
    #expect(waits.quantile(0.9) < fair / 10)
  }

  /// Whoever ends beside it, a chunk that was begun goes on, and nothing is left of one whose prompt is cancelled or preempted.
  @Test(arguments: 0..<12) func slicesEndWithTheirPrompt(steps: Int) throws {
    var configuration = Self.configuration
    configuration.slicedChunkSize = 1024
    var simulation = StepSimulation(configuration, blocks: 100)
    let stream = simulation.add(prompt: 16, output: 700)
    try simulation.run { $0.gaps.count > 100 }
    let first = simulation.add(prompt: 1_000, output: 1)
    for _ in 0..<steps { try simulation.step() }
    simulation.cancel(first)
    try simulation.scheduler.checkIntegrity(pins: 0)
    let second = simulation.add(prompt: 800, output: 1)
    for _ in 0..<steps { try simulation.step() }
    // Ranks before the prompt, and takes its blocks.
    let urgent = simulation.add(prompt: 1_000, output: 500, priority: 1)
    for _ in 0..<steps { try simulation.step() }
    if steps % 2 == 0 { simulation.cancel(stream) }
    try simulation.run { $0.isIdle }
    #expect(simulation.ends[second.key] != nil && simulation.ends[urgent.key] != nil)
    #expect(simulation.slicedTokens > 0 || steps == 0)
    #expect(simulation.scheduler.pool.activeCount == 0)
  }

  /// Short prompts behind a long one get their first token long before it has.
  @Test(arguments: [1, 3]) func shortPromptsPassLongOnes(longs: Int) throws {
    var simulation = StepSimulation(Self.configuration)
    let long = (0..<longs).map { _ in simulation.add(prompt: 8_000, output: 1) }
    try simulation.step()
    let short = (0..<5).map { _ in simulation.add(prompt: 60, output: 3) }
    try simulation.run { $0.isIdle }
    let last = try #require(short.compactMap { simulation.firstTokens[$0.key] }.max())
    let first = try #require(long.compactMap { simulation.firstTokens[$0.key] }.min())
    #expect(last < first / 4)
  }

  /// However many short ones keep coming, the long one ends, and keeps about half of the rate that it has alone.
  @Test func shortPromptsDoNotStarveALongOne() throws {
    var alone = StepSimulation(Self.configuration)
    alone.add(prompt: 8_000, output: 1)
    try alone.run { $0.isIdle }
    var simulation = StepSimulation(Self.configuration)
    let long = simulation.add(prompt: 8_000, output: 1)
    var steps = 0
    while simulation.ends[long.key] == nil {
      steps += 1
      try #require(steps < 10_000)
      for _ in 0..<40 where simulation.scheduler.waiting.count < 60 { simulation.add(prompt: 64, output: 1) }
      try simulation.step()
    }
    #expect(simulation.seconds < 2.5 * alone.seconds)
  }

  /// Long prompts of higher priority do not stop one of lower priority that is under way.
  @Test func everyPromptUnderWayGetsOn() throws {
    var simulation = StepSimulation(Self.configuration)
    let low = simulation.add(prompt: 4_000, output: 1)
    try simulation.step()
    var steps = 0
    while simulation.ends[low.key] == nil {
      steps += 1
      try #require(steps < 2_000)
      if simulation.scheduler.waiting.isEmpty { simulation.add(prompt: 4_000, output: 1, priority: 1) }
      try simulation.step()
    }
  }

  /// A prompt that goes into one step whole starts soon, though drafts and newer prompts would fill every step.
  @Test(arguments: [false, true]) func anUncutPromptIsNotOvertakenForEver(lifo: Bool) throws {
    var configuration = SchedulerConfiguration(
      blockSize: 16, maxNumSeqs: 8, maxNumBatchedTokens: 128, maxPrefillTokens: 128, enableChunkedPrefill: false,
      maxQueueWait: .seconds(lifo ? 2 : 1_000_000))
    configuration.policy = lifo ? .lifo : .fifo
    var simulation = StepSimulation(configuration)
    simulation.draftCount = 60
    for _ in 0..<3 { simulation.add(prompt: 16, output: 100_000) }
    try simulation.run { $0.firstTokens.count == 3 }
    let large = simulation.add(prompt: 118, output: 1)
    var steps = 0
    while simulation.ends[large.key] == nil {
      steps += 1
      try #require(steps < (lifo ? 500 : 20))
      simulation.add(prompt: 30, output: 2)
      try simulation.step()
    }
  }

  /// Drafts leave room for chunks as well.
  @Test func draftsDoNotStarveAPrompt() throws {
    let configuration = SchedulerConfiguration(
      blockSize: 16, maxNumSeqs: 8, maxNumBatchedTokens: 64, prefillChunkSize: 64, maxQueueWait: .seconds(1_000_000))
    var simulation = StepSimulation(configuration)
    simulation.draftCount = 63
    for _ in 0..<2 { simulation.add(prompt: 16, output: 100_000) }
    try simulation.run { $0.firstTokens.count == 2 }
    let prompt = simulation.add(prompt: 300, output: 1)
    try simulation.run(limit: 40) { $0.ends[prompt.key] != nil }
  }

  /// With fewer tokens than sequences everybody still gets turns, also under those of higher priority.
  @Test func nobodyIsLeftOutOfSmallSteps() throws {
    let configuration = SchedulerConfiguration(
      blockSize: 16, maxNumSeqs: 8, maxNumBatchedTokens: 4, maxQueueWait: .seconds(1_000_000))
    var simulation = StepSimulation(configuration)
    for priority in 0..<8 { simulation.add(prompt: 2, output: 100_000, priority: priority % 2) }
    try simulation.run { $0.firstTokens.count == 8 }
    let counts = simulation.scheduler.running.map(\.tokens.count)
    for _ in 0..<20 { try simulation.step() }
    let grown = zip(simulation.scheduler.running.map(\.tokens.count), counts).map { $0 - $1 }
    #expect(grown.allSatisfy { $0 >= 9 })
  }
}
